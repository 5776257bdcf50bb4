package bridge

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"footbridge/bridge/translate"
)

// Shown is a post of either network as a page shows it: text and addresses only, never markup.
type Shown struct {
	// Kind is the last word of the collection, or the AS2 type.
	Kind string
	// Title is the name of what has one; Warning stands before the text.
	Title, Warning string
	Text           []Span
	Embeds         []Embedded
	Labels, Langs  []string
}

// Span is a stretch of text; Link is an http or https address, or empty.
type Span struct{ Text, Link string }

// Embedded is one thing beside the text: image, video, audio, file, card or quote.
type Embedded struct{ Kind, Text, Link string }

// maxShown bounds each list that is shown.
const maxShown = 64

// showRecord reads a record.
func showRecord(kind string, rec map[string]any) Shown {
	s := Shown{Kind: kind, Title: firstOf(str(rec["title"]), str(rec["name"]), str(rec["displayName"])), Text: facetSpans(rec)}
	labels, _ := rec["labels"].(map[string]any)
	for _, l := range objects(labels["values"]) {
		s.Labels = append(s.Labels, str(l["val"]))
	}
	s.Langs = strs(rec["langs"])
	if embed, ok := rec["embed"].(map[string]any); ok {
		s.Embeds = recordEmbeds(embed, nil, 0)
	}
	if subject := targetOf(rec); subject != "" && len(s.Text) == 0 {
		s.Text = []Span{{subject, webLink(translate.WebURL(subject))}}
	}
	return s
}

// facetSpans cuts a text at its facets, as far as they lie inside of it, in order, on the borders of characters.
func facetSpans(rec map[string]any) (out []Span) {
	text, at := firstOf(str(rec["text"]), str(rec["description"])), 0
	facets := objects(rec["facets"])
	slices.SortStableFunc(facets, func(a, b map[string]any) int { return cmp.Compare(byteAt(a, "byteStart"), byteAt(b, "byteStart")) })
	for _, f := range facets {
		from, to, link := byteAt(f, "byteStart"), byteAt(f, "byteEnd"), featureLink(objects(f["features"]))
		if link == "" || from < at || to <= from || to > len(text) || !border(text, from) || !border(text, to) {
			continue
		}
		out = append(addSpan(out, text[at:from], ""), Span{text[from:to], link})
		at = to
	}
	return addSpan(out, text[at:], "")
}

// byteAt is one end of a facet; -1 if it is none.
func byteAt(facet map[string]any, end string) int {
	index, _ := facet["index"].(map[string]any)
	n, ok := index[end].(float64)
	if !ok || n < 0 || n > maxPasted {
		return -1
	}
	return int(n)
}

func border(s string, i int) bool { return i == len(s) || utf8.RuneStart(s[i]) }

func addSpan(out []Span, text, link string) []Span {
	if text == "" {
		return out
	}
	if n := len(out); n > 0 && out[n-1].Link == link {
		out[n-1].Text += text
		return out
	}
	return append(out, Span{text, link})
}

func featureLink(features []map[string]any) string {
	for _, f := range features {
		switch {
		case str(f["uri"]) != "":
			return webLink(str(f["uri"]))
		case str(f["did"]) != "":
			return "https://bsky.app/profile/" + url.PathEscape(str(f["did"]))
		case str(f["tag"]) != "":
			return "https://bsky.app/hashtag/" + url.PathEscape(str(f["tag"]))
		}
	}
	return ""
}

// webLink lets through only what a browser may open.
func webLink(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return s
}

// recordEmbeds lists what a record embeds; recordWithMedia nests once.
func recordEmbeds(embed map[string]any, out []Embedded, depth int) []Embedded {
	if depth > 2 {
		return out
	}
	for _, field := range []string{"images", "items"} {
		for _, image := range objects(embed[field]) {
			out = append(out, Embedded{Kind: "image", Text: str(image["alt"])})
		}
	}
	if embed["video"] != nil {
		out = append(out, Embedded{Kind: "video", Text: str(embed["alt"])})
	}
	if card, ok := embed["external"].(map[string]any); ok {
		out = append(out, Embedded{"card", firstOf(str(card["title"]), str(card["uri"])), webLink(str(card["uri"]))})
	}
	if media, ok := embed["media"].(map[string]any); ok {
		out = recordEmbeds(media, out, depth+1)
	}
	if quoted, ok := embed["record"].(map[string]any); ok {
		if inner, ok := quoted["record"].(map[string]any); ok {
			quoted = inner
		}
		uri := str(quoted["uri"])
		out = append(out, Embedded{"quote", uri, webLink(translate.WebURL(uri))})
	}
	return out
}

// showDocument reads an AS2 object, or the one inside of an activity.
func showDocument(doc map[string]any) Shown {
	if inner, ok := first(doc["object"]).(map[string]any); ok && (firstType(doc["type"]) == "Create" || firstType(doc["type"]) == "Update") {
		doc = inner
	}
	s := Shown{Kind: firstType(doc["type"]), Title: str(doc["name"]), Warning: plainText(str(doc["summary"])), Text: htmlSpans(contentOf(doc))}
	if content, ok := doc["contentMap"].(map[string]any); ok {
		s.Langs = slices.Sorted(maps.Keys(content))
		s.Langs = s.Langs[:min(len(s.Langs), maxShown)]
	}
	if sensitive, _ := doc["sensitive"].(bool); sensitive {
		s.Labels = []string{"sensitive"}
	}
	for _, a := range objects(doc["attachment"]) {
		s.Embeds = append(s.Embeds, attached(a))
	}
	if quoted := firstOf(idOf(doc["quote"]), idOf(doc["quoteUrl"]), idOf(doc["quoteUri"]), idOf(doc["_misskey_quote"])); quoted != "" {
		s.Embeds = append(s.Embeds, Embedded{"quote", quoted, webLink(quoted)})
	}
	if target := idOf(doc["object"]); target != "" && len(s.Text) == 0 {
		s.Text = []Span{{target, webLink(target)}}
	}
	return s
}

func contentOf(doc map[string]any) string {
	content := str(doc["content"])
	if byLang, ok := doc["contentMap"].(map[string]any); ok && content == "" {
		for _, lang := range slices.Sorted(maps.Keys(byLang)) {
			return str(byLang[lang])
		}
	}
	return content
}

func attached(a map[string]any) Embedded {
	e := Embedded{Kind: "file", Text: firstOf(str(a["summary"]), str(a["name"]))}
	family, _, _ := strings.Cut(str(a["mediaType"]), "/")
	switch t := firstType(a["type"]); {
	case t == "Link" || family == "text":
		link := firstOf(str(a["href"]), idOf(a["url"]))
		return Embedded{"card", firstOf(e.Text, link), webLink(link)}
	case family == "image" || t == "Image":
		e.Kind = "image"
	case family == "video" || t == "Video":
		e.Kind = "video"
	case family == "audio" || t == "Audio":
		e.Kind = "audio"
	}
	return e
}

// htmlSpans reads HTML as people see it: paragraphs and breaks become lines, links keep their address, nothing else stays.
func htmlSpans(src string) (out []Span) {
	link, hidden := "", 0
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return trimSpans(out)
		}
		t := z.Token()
		switch {
		case kind == html.TextToken && hidden == 0:
			out = addSpan(out, t.Data, link)
		case t.DataAtom == atom.Script || t.DataAtom == atom.Style:
			hidden = max(0, hidden+step(kind))
		case t.DataAtom == atom.A && kind == html.StartTagToken:
			link = webLink(attribute(t, "href"))
		case t.DataAtom == atom.A:
			link = ""
		default:
			out = addSpan(out, breaks(t.DataAtom, kind), link)
		}
	}
}

func step(kind html.TokenType) int {
	switch kind {
	case html.StartTagToken:
		return 1
	case html.EndTagToken:
		return -1
	}
	return 0
}

func breaks(a atom.Atom, kind html.TokenType) string {
	switch a {
	case atom.Br:
		return "\n"
	case atom.P, atom.Blockquote, atom.Ul, atom.Ol, atom.Pre, atom.H1, atom.H2, atom.H3, atom.H4:
		if kind == html.EndTagToken {
			return "\n\n"
		}
	case atom.Li:
		if kind == html.StartTagToken {
			return "\n• "
		}
	case atom.Div, atom.Tr:
		if kind == html.EndTagToken {
			return "\n"
		}
	}
	return ""
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func trimSpans(out []Span) []Span {
	if len(out) == 0 {
		return nil
	}
	out[0].Text = strings.TrimLeft(out[0].Text, "\n")
	for len(out) > 0 {
		last := &out[len(out)-1]
		if last.Text = strings.TrimRight(last.Text, "\n "); last.Text != "" {
			break
		}
		out = out[:len(out)-1]
	}
	return out
}

func plainText(src string) string {
	var b strings.Builder
	for _, s := range htmlSpans(src) {
		b.WriteString(s.Text)
	}
	return b.String()
}

// objects are the objects of a list, or the one that stands alone.
func objects(v any) (out []map[string]any) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, item := range list {
		if o, ok := item.(map[string]any); ok && len(out) < maxShown {
			out = append(out, o)
		}
	}
	return out
}

func strs(v any) (out []string) {
	list, _ := v.([]any)
	for _, item := range list {
		if s := str(item); s != "" && len(out) < maxShown {
			out = append(out, s)
		}
	}
	return out
}

var typedTag = regexp.MustCompile(`(?:^|[\s(])(#[\p{L}\p{N}_]*[\p{L}_][\p{L}\p{N}_]*)`)

// typedFacets marks links and hashtags as apps do when somebody posts.
func typedFacets(text string) []any {
	facets := []any{}
	mark := func(from, to int, feature map[string]any) {
		facets = append(facets, map[string]any{"index": map[string]any{"byteStart": from, "byteEnd": to}, "features": []any{feature}})
	}
	for _, at := range urlInText.FindAllStringIndex(text, -1) {
		mark(at[0], at[1], map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": text[at[0]:at[1]]})
	}
	for _, at := range typedTag.FindAllStringSubmatchIndex(text, -1) {
		mark(at[2], at[3], map[string]any{"$type": "app.bsky.richtext.facet#tag", "tag": text[at[2]+1 : at[3]]})
	}
	return facets
}

// typedTags names the hashtags of a text as servers do when somebody posts.
func typedTags(text string) []any {
	tags := []any{}
	for _, found := range typedTag.FindAllStringSubmatch(text, maxShown) {
		tags = append(tags, map[string]any{"type": "Hashtag", "name": found[1]})
	}
	return tags
}
