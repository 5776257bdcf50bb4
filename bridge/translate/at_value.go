package translate

import (
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"
)

// Collections that this package reads or writes.
const (
	nsidPost        = "app.bsky.feed.post"
	nsidLike        = "app.bsky.feed.like"
	nsidRepost      = "app.bsky.feed.repost"
	nsidThreadgate  = "app.bsky.feed.threadgate"
	nsidPostgate    = "app.bsky.feed.postgate"
	nsidGenerator   = "app.bsky.feed.generator"
	nsidFollow      = "app.bsky.graph.follow"
	nsidBlock       = "app.bsky.graph.block"
	nsidList        = "app.bsky.graph.list"
	nsidStarterPack = "app.bsky.graph.starterpack"
	nsidProfile     = "app.bsky.actor.profile"
	nsidLabeler     = "app.bsky.labeler.service"
	nsidDocument    = "site.standard.document"
	nsidEvent       = "community.lexicon.calendar.event"
	nsidRSVP        = "community.lexicon.calendar.rsvp"
)

// lex is a record or a part of one, as decoded. Records come from anybody's repo and need not be valid, so every field is
// read as what it should be or as absent.
type lex map[string]any

// decodeRecord reads a record; anything but an object is nil.
func decodeRecord(raw json.RawMessage) lex {
	var m map[string]any
	if len(raw) == 0 || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

func (m lex) str(key string) string {
	s, _ := m[key].(string)
	return s
}

func (m lex) obj(key string) lex {
	o, _ := m[key].(map[string]any)
	return o
}

func (m lex) list(key string) []any {
	l, _ := m[key].([]any)
	return l
}

func (m lex) typ() string { return m.str("$type") }

// integer reads a number that must be whole; JSON numbers arrive as float64.
func (m lex) integer(key string) (int, bool) {
	f, ok := m[key].(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return 0, false
	}
	return int(f), true
}

// asLex is an element of a list as an object, nil if it is none.
func asLex(v any) lex {
	o, _ := v.(map[string]any)
	return o
}

// ref reads a strongRef's uri.
func (m lex) ref(key string) string { return m.obj(key).str("uri") }

// atBlob is a blob of a record.
type atBlob struct{ cid, mime string }

// blob reads a blob in its present form or the form of before 2023 ({cid, mimeType}).
func (m lex) blob(key string) (atBlob, bool) {
	o := m.obj(key)
	b := atBlob{cid: o.obj("ref").str("$link"), mime: o.str("mimeType")}
	if b.cid == "" {
		b.cid = o.str("cid")
	}
	if strings.ContainsAny(b.mime, "* \t\r\n;,\"") || strings.Count(b.mime, "/") != 1 {
		b.mime = ""
	}
	return b, len(b.cid) >= 20 && len(b.cid) <= 128 && isSegment(b.cid)
}

// selfLabels lists the values of com.atproto.label.defs#selfLabels.
func (m lex) selfLabels() []string {
	var out []string
	for _, v := range m.obj("labels").list("values") {
		if s := asLex(v).str("val"); s != "" && len(s) <= 128 {
			out = append(out, s)
		}
	}
	return out
}

// blobURL is where the bytes of a blob can be had. Without a known PDS the bridge's own host answers, which knows it.
func blobURL(c *Context, did, cid string) string {
	host := strings.TrimRight(c.PDS, "/")
	if host == "" {
		host = base(c.Domain)
	}
	// A did:web with a port holds a percent sign, which stands for itself here.
	return host + "/xrpc/com.atproto.sync.getBlob?did=" + strings.ReplaceAll(did, "%", "%25") + "&cid=" + cid
}

// shortDetail keeps a loss's detail readable and bounded.
func shortDetail(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
