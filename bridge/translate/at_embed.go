package translate

import (
	"net/url"
	"strconv"
	"strings"
)

// embed carries what hangs on a post.
func (n *note) embed() DropReason {
	e := n.rec.obj("embed")
	switch {
	case n.rec["embed"] == nil:
		return None
	case e.typ() == "app.bsky.embed.record":
		return n.record(e.ref("record"))
	case e.typ() == "app.bsky.embed.recordWithMedia":
		n.media(e.obj("media"))
		inner := e.obj("record").ref("record")
		if inner == "" {
			inner = e.ref("record")
		}
		return n.record(inner)
	default:
		n.media(e)
	}
	return None
}

// media carries pictures, a film or a card.
func (n *note) media(e lex) {
	switch e.typ() {
	case "app.bsky.embed.images":
		n.images(e.list("images"))
	case "app.bsky.embed.gallery":
		n.images(e.list("items"))
	case "app.bsky.embed.video":
		n.video(e)
	case "app.bsky.embed.external":
		n.external(e.obj("external"))
	default:
		n.lose(LossEmbed, e.typ())
		n.original()
	}
}

// original leads to the post itself, where what is embedded can be seen, if otherwise nothing would be shown.
func (n *note) original() {
	if href := WebURL(n.uri); !n.shows && href != "" {
		n.line(func() { n.html.link(href, linkAttributes, href, "") })
	}
}

const linkAttributes = ` rel="nofollow noopener" target="_blank"`

// line adds a paragraph of the bridge's making, which counts as something to show.
func (n *note) line(inner func()) {
	n.html.paragraph(inner)
	n.shows = true
}

func (n *note) images(images []any) {
	for i, v := range images {
		m := asLex(v)
		if i >= 50 {
			n.lose(LossImagesOverLimit, "")
			break
		}
		b, ok := m.blob("image")
		if !ok {
			n.lose(LossMediaUnavailable, m.str("alt"))
			continue
		}
		n.attach("Image", b, m)
	}
	if len(n.attachments) == 0 {
		n.original()
	}
}

// attach adds a file that lies in the author's repo. The description goes as name, and as summary for those who read
// that first (GoToSocial, Mastodon from 4.6), byte for byte.
func (n *note) attach(kind string, b atBlob, m lex) {
	a := map[string]any{"type": kind, "url": blobURL(n.c, n.ev.DID, b.cid)}
	if b.mime != "" {
		a["mediaType"] = b.mime
	}
	if alt := m.str("alt"); alt != "" {
		a["name"], a["summary"] = alt, alt
	}
	ratio := m.obj("aspectRatio")
	width, okWidth := ratio.integer("width")
	height, okHeight := ratio.integer("height")
	if okWidth && okHeight && width > 0 && height > 0 && width <= 65535 && height <= 65535 {
		a["width"], a["height"] = int64(width), int64(height)
	}
	n.attachments = append(n.attachments, a)
	n.shows = true
}

// video attaches the file itself: most servers play MP4, few play the AppView's HLS.
func (n *note) video(e lex) {
	b, ok := e.blob("video")
	if !ok {
		n.lose(LossMediaUnavailable, e.str("alt"))
		n.original()
		return
	}
	n.attach("Video", b, e)
	if len(e.list("captions")) > 0 {
		n.lose(LossCaptions, "")
	}
}

// cardURL is the address of the post's link card, empty if it has none that can be opened.
func (n *note) cardURL() string {
	e := n.rec.obj("embed")
	if e.typ() == "app.bsky.embed.recordWithMedia" {
		e = e.obj("media")
	}
	if e.typ() != "app.bsky.embed.external" {
		return ""
	}
	href, _ := safeURL(e.obj("external").str("uri"))
	return href
}

// external carries a link card. Servers make their own card of the first link in a text, so the link is what is needed;
// it is added where the text does not have it. Animated pictures of the services that the Bluesky app plays in place
// become attachments.
func (n *note) external(x lex) {
	href, ok := safeURL(x.str("uri"))
	if !ok {
		n.lose(LossLinkScheme, x.str("uri"))
		n.original()
		return
	}
	if n.gif(href, x) || n.linksTo(href) {
		return
	}
	if n.isForeignPost(href) { // somebody else's words stand in its title (R41)
		n.lose(LossLinkNotShared, "")
		if !strings.Contains(n.text.text, href) {
			n.line(func() { n.html.plain(href) })
		}
		return
	}
	title := strings.TrimSpace(x.str("title"))
	if title == "" || strings.Contains(title, "://") {
		title = href // a title that looks like an address could pretend to lead elsewhere
	}
	if x.str("description") != "" || x["thumb"] != nil {
		n.lose(LossCardDetail, "")
	}
	n.line(func() { n.html.link(href, linkAttributes, title, "") })
}

// gifHosts are those whose pictures the Bluesky app's picker inserts.
var gifHosts = map[string]bool{"media.tenor.com": true, "media.giphy.com": true, "i.giphy.com": true, "static.klipy.com": true}

// gif attaches an animated picture; its size is in the query, its description says ALT: in front.
func (n *note) gif(href string, x lex) bool {
	u, err := url.Parse(href)
	if err != nil || !gifHosts[u.Hostname()] || !strings.HasSuffix(u.Path, ".gif") && !strings.HasSuffix(u.Path, ".webp") {
		return false
	}
	mime := "image/gif"
	if strings.HasSuffix(u.Path, ".webp") {
		mime = "image/webp"
	}
	a := map[string]any{"type": "Image", "mediaType": mime, "url": href}
	if alt := gifAlt(x); alt != "" {
		a["name"], a["summary"] = alt, alt
	}
	width, _ := strconv.Atoi(u.Query().Get("ww"))
	height, _ := strconv.Atoi(u.Query().Get("hh"))
	if width > 0 && height > 0 && width <= 65535 && height <= 65535 {
		a["width"], a["height"] = int64(width), int64(height)
	}
	n.attachments = append(n.attachments, a)
	n.shows = true
	return true
}

func gifAlt(x lex) string {
	d := x.str("description")
	if len(d) > 4 && strings.EqualFold(d[:4], "ALT:") {
		return strings.TrimPrefix(d[4:], " ")
	}
	if d != "" {
		return d
	}
	return x.str("title")
}
