package activitypub

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// pageSize is how many items a collection page has.
const pageSize = 40

// syncSuffix is the path of partial follower collections (FEP-8fcf).
const syncSuffix = "/followers_synchronization"

// collections are those of actors, by the end of their path, with the name that the Directory knows.
var actorCollections = map[string]string{"/outbox": "outbox", "/followers": "followers", "/following": "following", "/collections/featured": "featured"}

// objectCollections are those of objects; the Directory is asked for "replies:<object id>" and so on.
var objectCollections = map[string]string{"/replies": "replies", "/likes": "likes", "/shares": "shares", "/context": "context"}

// getCollection reports whether the path is a collection, and if so, answers.
func (s *Server) getCollection(c echo.Context, id string, reader identity.ActorID) (bool, error) {
	if owner, ok := strings.CutSuffix(id, syncSuffix); ok {
		return true, s.getFollowersAt(c, identity.ActorID(owner), reader)
	}
	for suffix, name := range actorCollections {
		if owner, ok := strings.CutSuffix(id, suffix); ok {
			return s.actorCollection(c, id, owner, name)
		}
	}
	for suffix, name := range objectCollections {
		if object, ok := strings.CutSuffix(id, suffix); ok {
			return s.objectCollection(c, id, object, name)
		}
	}
	return false, nil
}

func (s *Server) actorCollection(c echo.Context, id, owner, name string) (bool, error) {
	a, err := s.o.Directory.ByID(c.Request().Context(), identity.ActorID(owner))
	if err != nil {
		return true, fmt.Errorf("looking up the owner of a collection: %w", err)
	}
	if a == nil || a.Presence == Absent {
		return false, nil
	}
	if a.Presence != Present {
		return true, s.absent(c, id, a.Presence)
	}
	return true, s.writeCollection(c, id, a.ID, name, "OrderedCollection")
}

func (s *Server) objectCollection(c echo.Context, id, object, name string) (bool, error) {
	_, owner, presence, err := s.o.Directory.Object(c.Request().Context(), object)
	if err != nil {
		return true, fmt.Errorf("looking up the object of a collection: %w", err)
	}
	if presence == Absent {
		return false, nil
	}
	if presence != Present {
		return true, s.absent(c, id, presence)
	}
	kind := "Collection"
	if name == "context" { // FEP-f228 wants the conversation in order
		kind = "OrderedCollection"
	}
	return true, s.writeCollection(c, id, owner, name+":"+object, kind)
}

func (s *Server) absent(c echo.Context, id string, p Presence) error {
	if p == Gone {
		return s.tombstone(c, id)
	}
	return c.NoContent(http.StatusNotFound)
}

func (s *Server) writeCollection(c echo.Context, id string, owner identity.ActorID, name, kind string) error {
	query := c.QueryParams()
	inline := name == "featured"
	paged := query.Has("page") || query.Has("cursor")
	limit := pageSize
	if !paged && !inline {
		limit = 1
	}
	items, next, total, err := s.o.Directory.Collection(c.Request().Context(), owner, name, query.Get("cursor"), limit)
	if err != nil {
		return fmt.Errorf("reading a collection: %w", err)
	}
	doc := map[string]any{"@context": asNamespace, "id": id, "type": kind, "totalItems": total}
	if kind == "OrderedCollection" || name == "replies" {
		doc["attributedTo"] = string(owner)
	}
	switch {
	case inline:
		doc[itemsKey(kind)] = orEmpty(items)
	case !paged && items != nil:
		doc["first"] = id + "?page=true"
	case paged:
		page(doc, c.Request().URL.Query(), id, kind, items, next)
	}
	return s.writeDoc(c, http.StatusOK, doc)
}

func itemsKey(kind string) string {
	if kind == "OrderedCollection" {
		return "orderedItems"
	}
	return "items"
}

func orEmpty(items []any) []any {
	if items == nil {
		return []any{}
	}
	return items
}

// page turns a collection's root into one of its pages.
func page(doc map[string]any, query url.Values, id, kind string, items []any, next string) {
	doc["type"], doc["partOf"] = kind+"Page", id
	doc["id"] = id + "?" + pageQuery(query.Get("cursor"))
	doc[itemsKey(kind)] = orEmpty(items)
	if next != "" {
		doc["next"] = id + "?" + pageQuery(next)
	}
	delete(doc, "attributedTo")
}

func pageQuery(cursor string) string {
	if cursor == "" {
		return "page=true"
	}
	return "cursor=" + url.QueryEscape(cursor) + "&page=true"
}
