package activitypub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// getObject serves a stored document: a note, an activity, a quote authorisation.
func (s *Server) getObject(c echo.Context, id string) error {
	raw, _, presence, err := s.o.Directory.Object(c.Request().Context(), id)
	if err != nil {
		return fmt.Errorf("looking up an object: %w", err)
	}
	switch presence {
	case Gone:
		return s.tombstone(c, id)
	case Present:
	default:
		return c.NoContent(http.StatusNotFound)
	}
	if wantsHTML(c.Request()) {
		return s.objectPage(c, id, raw)
	}
	return s.writeDoc(c, http.StatusOK, raw)
}

// objectPage sends people to the page of the original, if the document names one elsewhere.
func (s *Server) objectPage(c echo.Context, id string, raw json.RawMessage) error {
	c.Response().Header().Set("Link", `<`+id+`>; rel="alternate"; type="application/activity+json"`)
	doc, err := parseDocument(raw)
	if err != nil {
		return fmt.Errorf("reading a stored document: %w", err)
	}
	page := doc.str("url")
	if obj, ok := doc.object("object"); ok && page == "" {
		page = obj.str("url")
	}
	if strings.HasPrefix(page, "https://") && page != id && originOf(page) != originOf(s.o.Base) {
		return c.Redirect(http.StatusFound, page)
	}
	return s.writeDoc(c, http.StatusOK, raw)
}
