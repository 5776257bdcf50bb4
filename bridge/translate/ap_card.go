package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// apCard is a link card in the making.
type apCard struct {
	url, title, description, image string
}

// Sizes of what a card says, in graphemes; the lexicon has no limit, readers do.
const maxCardTitle, maxCardText = 300, 600

// linkCard is the card of a Link attachment, or of a file of a kind that has no player.
func (j *apJob) linkCard(a *as2.Value, m apMedia) apCard {
	if a.Type() != "Link" && m.mediaType != "" && !strings.HasPrefix(m.mediaType, "text/html") {
		j.lose(LossMediaKind, m.mediaType)
	}
	c := apCard{url: m.url, title: j.words(a.Text("name")), description: j.words(a.Text("summary"))}
	if c.description == "" {
		c.description = j.words(a.Text("content"))
	}
	c.image = j.imageURL(a.Get("icon"))
	if c.image == "" {
		c.image = j.imageURL(a.Get("image"))
	}
	if looksLikePost(m.url) {
		return c
	}
	if p, ok := j.preview(m.url, m.url); ok {
		if c.title == "" {
			c.title = p.Title
		}
		if c.description == "" {
			c.description = p.Description
		}
		if c.image == "" {
			c.image = p.Image
		}
	}
	return c
}

func (j *apJob) preview(raw, url string) (Preview, bool) {
	j.want(refLinks, raw)
	p, ok := j.c.Previews[raw]
	if !ok {
		p, ok = j.c.Previews[url]
	}
	return p, ok
}

// mayShow tells whether a card may be made of an attached link: not of somebody's post or profile (R41).
func (c apCard) mayShow() bool { return !looksLikePost(c.url) }

// embedCard makes app.bsky.embed.external; nil if the address is not one of the web.
func (j *apJob) embedCard(c apCard) map[string]any {
	u, ok := webURL(c.url)
	if !ok {
		return nil
	}
	title, _ := cutText(oneLine(c.title), maxCardTitle, 3000)
	if title == "" {
		title = shortURL(u)
	}
	description, _ := cutText(strings.TrimSpace(c.description), maxCardText, 6000)
	x := map[string]any{"uri": u, "title": title, "description": description}
	if c.image != "" {
		if t := j.thumb(c.image); t != nil {
			x["thumb"] = t
		}
	}
	return map[string]any{"$type": "app.bsky.embed.external", "external": x}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// plainHTML is the text of HTML without marks.
func plainHTML(s string) string {
	if s == "" {
		return ""
	}
	r := htmlReader{}
	return r.read(s, false).text
}

// previewCard is the card of the first link in the text that has one. Links to people and their posts get none.
func (j *apJob) previewCard(text rich) (apCard, bool) {
	n := 0
	for _, m := range text.marks {
		if m.kind != markLink || looksLikePost(m.value) {
			continue
		}
		if n++; n > 8 {
			break
		}
		if p, ok := j.preview(j.rawLink(m.value), m.value); ok {
			return apCard{m.value, p.Title, p.Description, p.Image}, true
		}
	}
	return apCard{}, false
}

// rawLink is how the source wrote an address of the record.
func (j *apJob) rawLink(url string) string {
	for _, l := range j.links {
		if l.url == url {
			return l.raw
		}
	}
	return url
}

// originalURL is the page of the object for people, else its id.
func (j *apJob) originalURL() string {
	if u := j.obj.URL(); u != "" {
		if _, ok := webURL(u); ok {
			return u
		}
	}
	return j.obj.ID()
}
