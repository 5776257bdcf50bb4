package activitypub

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// Link relations.
const (
	relSubscribe   = "http://ostatus.org/schema/1.0/subscribe"
	relProfilePage = "http://webfinger.net/rel/profile-page"
	relApplication = "https://www.w3.org/ns/activitystreams#Application" // FEP-2677
	nodeInfoSchema = "http://nodeinfo.diaspora.software/ns/schema/"
)

// getWebFinger answers acct: URIs, actor ids and profile pages (RFC 7033).
func (s *Server) getWebFinger(c echo.Context) error {
	c.Response().Header().Set("Access-Control-Allow-Origin", "*")
	resource := c.QueryParam("resource")
	if resource == "" || len(resource) > 2048 {
		return c.NoContent(http.StatusBadRequest)
	}
	a, err := s.findResource(c, resource)
	if errors.Is(err, ErrDocument) {
		return c.NoContent(http.StatusBadRequest)
	}
	if err != nil {
		return fmt.Errorf("looking up a resource: %w", err)
	}
	switch {
	case a == nil || a.Presence == Absent || a.Presence == Hidden:
		return c.NoContent(http.StatusNotFound)
	case a.Presence == Gone:
		return c.NoContent(http.StatusGone)
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return blobJSON(c, "application/jrd+json", s.resourceOf(a))
}

func (s *Server) resourceOf(a *LocalActor) jrd {
	profile := s.o.Base + "/@" + a.Username
	links := []jrdLink{
		{Rel: "self", Type: activityJSON, Href: string(a.ID)},
		{Rel: relProfilePage, Type: "text/html", Href: profile},
	}
	if s.o.Subscribe != "" {
		links = append(links, jrdLink{Rel: relSubscribe, Template: s.o.Subscribe})
	}
	return jrd{Subject: "acct:" + a.Username + "@" + s.host, Aliases: []string{string(a.ID), profile}, Links: links}
}

func blobJSON(c echo.Context, mediaType string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	return c.Blob(http.StatusOK, mediaType, b)
}

// findResource gives nil for what is not ours and ErrDocument for what is no resource.
func (s *Server) findResource(c echo.Context, resource string) (*LocalActor, error) {
	ctx := c.Request().Context()
	if strings.HasPrefix(resource, "https://") || strings.HasPrefix(resource, "http://") {
		u, err := url.Parse(resource)
		if err != nil {
			return nil, fmt.Errorf("%w: resource", ErrDocument)
		}
		if originOf(resource) != originOf(s.o.Base) {
			return nil, nil
		}
		if name, ok := strings.CutPrefix(u.Path, "/@"); ok {
			return s.o.Directory.ByName(ctx, strings.TrimSuffix(name, "@"+s.host))
		}
		if u.Path == "" || u.Path == "/" {
			return s.o.Directory.ByID(ctx, s.o.Instance)
		}
		return s.o.Directory.ByID(ctx, identity.ActorID(s.o.Base+u.Path))
	}
	user, host, err := SplitAcct(resource)
	if err != nil {
		return nil, fmt.Errorf("%w: resource", ErrDocument)
	}
	if !strings.EqualFold(host, s.host) {
		return nil, nil
	}
	if strings.EqualFold(user, s.host) { // FEP-d556
		return s.o.Directory.ByID(ctx, s.o.Instance)
	}
	return s.o.Directory.ByName(ctx, user)
}

type xrd struct {
	XMLName xml.Name  `xml:"http://docs.oasis-open.org/ns/xri/xrd-1.0 XRD"`
	Links   []xrdLink `xml:"Link"`
}

type xrdLink struct {
	Rel      string `xml:"rel,attr"`
	Type     string `xml:"type,attr"`
	Template string `xml:"template,attr"`
}

func (s *Server) getHostMeta(c echo.Context) error {
	b, err := xml.Marshal(xrd{Links: []xrdLink{{Rel: "lrdd", Type: "application/jrd+json", Template: s.o.Base + "/.well-known/webfinger?resource={uri}"}}})
	if err != nil {
		return fmt.Errorf("encoding host-meta: %w", err)
	}
	return c.Blob(http.StatusOK, "application/xrd+xml; charset=utf-8", append([]byte(xml.Header), b...))
}

func (s *Server) getNodeInfoIndex(c echo.Context) error {
	return blobJSON(c, "application/json", map[string]any{"links": []jrdLink{
		{Rel: nodeInfoSchema + "2.1", Href: s.o.Base + "/nodeinfo/2.1"},
		{Rel: nodeInfoSchema + "2.0", Href: s.o.Base + "/nodeinfo/2.0"},
		{Rel: relApplication, Href: string(s.o.Instance)},
	}})
}

func (s *Server) getNodeInfo(c echo.Context) error {
	version := strings.TrimSuffix(c.Param("version"), ".json")
	if version != "2.0" && version != "2.1" {
		return c.NoContent(http.StatusNotFound)
	}
	users, posts, err := s.o.Directory.Stats(c.Request().Context())
	if err != nil {
		return fmt.Errorf("counting for NodeInfo: %w", err)
	}
	software := map[string]any{"name": s.o.Software.Name, "version": s.o.Software.Version}
	if version == "2.1" {
		software["repository"], software["homepage"] = s.o.Software.Repository, s.o.Software.Homepage
	}
	metadata := s.o.NodeMetadata
	if metadata == nil {
		metadata = map[string]any{}
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=1800")
	return blobJSON(c, `application/json; profile="`+nodeInfoSchema+version+`#"`, map[string]any{
		"version": version, "software": software, "protocols": []string{"activitypub"},
		"services":          map[string]any{"inbound": []string{}, "outbound": []string{}},
		"openRegistrations": false,
		"usage":             map[string]any{"users": map[string]any{"total": users}, "localPosts": posts},
		"metadata":          metadata,
	})
}
