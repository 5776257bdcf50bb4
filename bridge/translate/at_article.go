package translate

import (
	"strings"
)

// article makes an Article of site.standard.document: its title, its summary, the plain text that the record holds, and a
// link to the page it is the record of.
func (j *atJob) article(uri string, rec lex) (map[string]any, contextTerms, DropReason) {
	title := strings.TrimSpace(rec.str("title"))
	if title == "" {
		return nil, 0, DropMalformed
	}
	n := &note{atJob: j, rec: rec, uri: uri, id: j.own(uri), text: &richText{}}
	n.doc = map[string]any{
		"id": n.id, "type": "Article", "attributedTo": j.me(), "name": title,
		"published": j.published(rec.str("publishedAt")),
		"to":        []any{Public}, "cc": []any{j.me() + "/followers"},
	}
	if why := n.labels(); why != None {
		return nil, 0, why
	}
	delete(n.doc, "summary") // on an Article it is an abstract
	page := n.articlePage()
	if page == "" {
		page = n.id
	}
	n.doc["url"] = page
	n.articleText(page)
	n.articleRest()
	return n.doc, n.ctx | termSensitive | termHashtag, None
}

// articlePage joins the address of the site, which may be that of a publication record, with the path.
func (n *note) articlePage() string {
	site := n.rec.str("site")
	if strings.HasPrefix(site, "at://") {
		site = decodeRecord(n.c.Records[site].Value).str("url")
	}
	path := n.rec.str("path")
	if path != "" && !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, ok := safeURL(strings.TrimRight(site, "/") + path)
	if !ok || !strings.HasPrefix(u, "http") {
		return ""
	}
	return u
}

// articleText writes the text that the record holds in plain form, or its description, and where to read on.
func (n *note) articleText(page string) {
	summary := strings.TrimSpace(n.rec.str("description"))
	body := n.rec.str("textContent")
	if summary != "" {
		var w textWriter
		w.writeText(summary, nil)
		n.doc["summary"] = w.String()
	}
	if strings.TrimSpace(body) == "" {
		body = summary
		n.lose(LossArticleBody, "")
	} else if n.rec["content"] != nil {
		n.lose(LossFormatting, "")
	}
	spans := append(n.typedLinks(body), n.typedHandles(body)...)
	n.html.writeText(body, n.untangle(spans))
	n.line(func() { n.html.link(page, linkAttributes, n.lines.readOn, "") })
	n.doc["content"] = n.html.String()
}

// articleRest adds the cover, the tags and the day of the last edit.
func (n *note) articleRest() {
	if b, ok := n.rec.blob("coverImage"); ok {
		n.attach("Image", b, lex{})
		n.doc["image"] = n.attachments[0]
		delete(n.doc, "attachment")
	}
	for _, t := range n.rec.list("tags") {
		if s, ok := t.(string); ok {
			n.text.tags.hashtag(s)
		}
	}
	if n.text.tags.all != nil {
		n.doc["tag"] = n.text.tags.all
	}
	if t, ok := parseLexDate(n.rec.str("updatedAt")); ok && !t.After(n.c.Now) {
		n.doc["updated"] = formatDate(t)
	}
	n.policy()
}
