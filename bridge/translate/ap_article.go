package translate

import (
	"footbridge/activitypub/as2"
	"net/url"
	"strings"
)

// Limits of site.standard.document.
const (
	maxDocTitle = 500
	maxDocText  = 3000
	maxDocTag   = 128
	maxDocBody  = 64 << 10 // bytes of plain text; records have to stay small
)

// article shows a long text as a card and what its author says of it, and keeps the text itself in a document record.
// The words come from the preview that the author made (FEP-b2b8), else the summary, else the beginning of the text.
func (j *apJob) article(d *apDraft) {
	o := j.obj
	j.noPictures = true
	title := j.plain(o.Text("name"))
	content, langs := j.content(o)
	d.langs = langs
	words := j.preamble(o, content)
	d.body = words
	if !strings.HasPrefix(words.text, title.text) {
		d.body = joinRich("\n\n", title, words)
	}
	d.wantHome = true
	d.home.title = title.text
	d.home.description = words.text
	d.home.image = j.articleImage(o)
	plain := j.scan(rich{text: htmlText(content, o)}).text
	if !strings.Contains(words.text, plain) {
		j.lose(LossArticleBody, "")
	}
	var alts string
	d.media, alts = j.dropMedia(d.media, plain)
	if title.text == "" {
		d.home.description = strings.TrimSpace(d.home.description + "\n" + alts)
	}
	plain = strings.TrimSpace(plain + "\n\n" + alts)
	d.extra = func(key, uri, created string) []Write {
		return j.document(uri, created, title.text, plain, d.home.image)
	}
}

// preamble are the words of a post about a long text.
func (j *apJob) preamble(o *as2.Value, content string) rich {
	if p := o.Get("preview").First(); p.IsObject() && p.Text("content") != "" {
		return j.html(p.Text("content"), false)
	}
	if s := o.Text("summary"); strings.TrimSpace(s) != "" {
		return j.html(s, false)
	}
	return j.html(content, markdown(o))
}

func markdown(o *as2.Value) bool { return strings.HasPrefix(o.Get("mediaType").Str(), "text/markdown") }

func htmlText(content string, o *as2.Value) string {
	r := htmlReader{}
	return r.read(content, markdown(o)).text
}

// articleImage is the cover: image, else the first attached picture.
func (j *apJob) articleImage(o *as2.Value) string {
	if u := j.imageURL(o.Get("image")); u != "" {
		return u
	}
	if u := j.imageURL(o.Get("icon")); u != "" {
		return u
	}
	list := o.Get("attachment").List()
	for i := range list {
		if l := list[i].Links("url"); len(l) > 0 && kindOf(list[i].Type(), list[i].Get("mediaType").Str(), l[0].Href) == mediaImage {
			return l[0].Href
		}
	}
	return ""
}

// dropMedia leaves out the pictures of an article's body: they are part of the text behind the card. A video stays.
// Descriptions that the text does not hold already are given back, to stand below it.
func (j *apJob) dropMedia(list []apMedia, text string) (kept []apMedia, alts string) {
	for _, m := range list {
		switch {
		case m.kind == mediaVideo:
			kept = append(kept, m)
		case m.alt != "" && !strings.Contains(text, m.alt):
			alts += mediaLine(j.lines, m) + "\n"
		}
	}
	return kept, strings.TrimSpace(alts)
}

// document is the site.standard.document of an article.
func (j *apJob) document(postURI, created, title, plain, cover string) []Write {
	home, ok := webURL(j.originalURL())
	if !ok || title == "" {
		return nil
	}
	u, err := url.Parse(home)
	if err != nil {
		return nil
	}
	title, _ = cutText(oneLine(title), maxDocTitle, 5000)
	rec := map[string]any{"$type": nsidDocument, "site": u.Scheme + "://" + u.Host, "title": title, "publishedAt": created}
	if p := strings.TrimPrefix(home, u.Scheme+"://"+u.Host); p != "" {
		rec["path"] = p
	}
	if s, _ := cutText(j.words(j.obj.Text("summary")), maxDocText, 30_000); s != "" {
		rec["description"] = s
	}
	if plain != "" {
		text, _ := cutText(plain, len(plain), maxDocBody)
		rec["textContent"] = text
	}
	if t, ok := j.obj.Time("updated"); ok {
		rec["updatedAt"] = formatTime(t)
	}
	if tags := j.docTags(); len(tags) > 0 {
		rec["tags"] = tags
	}
	if b := j.thumb(cover); b != nil {
		rec["coverImage"] = b
	}
	return []Write{j.aux(postURI, nsidDocument, rec)}
}

func (j *apJob) docTags() []any {
	var out []any
	for _, n := range j.hashtags.names {
		if len(out) < maxAttachments && fits(n, maxDocTag, 1280) {
			out = append(out, n)
		}
	}
	return out
}

// page is a link or text that was posted to a community (Lemmy, PieFed, Mbin): title, text, and the card of the link.
func (j *apJob) page(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	title := j.plain(o.Text("name"))
	if !strings.HasPrefix(d.body.text, title.text) || title.text == "" {
		d.body = joinRich("\n\n", title, d.body)
	}
	j.pageLink(o, d)
	thumb := j.imageURL(o.Get("image"))
	for i := range d.cards {
		if d.cards[i].title == "" {
			d.cards[i].title = title.text
		}
		if d.cards[i].image == "" {
			d.cards[i].image = thumb
		}
	}
	if len(d.cards) == 0 && len(d.media) == 0 && thumb != "" {
		m := apMedia{url: thumb, alt: altOf(o.Get("image").First()), kind: mediaImage}
		if j.fetched(&m); m.ok {
			d.media = append(d.media, m)
		}
	}
	d.home.title = title.text
	d.home.image = thumb
}

// pageLink reads the link that older software wrote as the page's own url.
func (j *apJob) pageLink(o *as2.Value, d *apDraft) {
	u := o.URL()
	if len(d.cards) > 0 || len(d.media) > 0 || u == "" || hostOf(u) == hostOf(o.ID()) || hostOf(o.ID()) == "" {
		return
	}
	c := apCard{url: u}
	if p, ok := j.preview(u, u); ok && c.mayShow() {
		c.title, c.description, c.image = p.Title, p.Description, p.Image
	}
	d.cards = append(d.cards, c)
	d.home.url = o.ID()
}
