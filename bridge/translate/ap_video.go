package translate

import (
	"footbridge/activitypub/as2"
	"strconv"
	"strings"
)

// maxVideoHeight is the tallest rendition that is asked for; larger ones seldom fit the limit in bytes.
const maxVideoHeight = 720

// video shows a PeerTube or Loops video: the file itself where it was fetched, else a card with its picture.
func (j *apJob) video(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	title := j.plain(o.Text("name"))
	description := d.body.text
	if !strings.HasPrefix(d.body.text, title.text) || title.text == "" {
		d.body = joinRich("\n\n", title, d.body)
	}
	d.home.title = title.text
	d.home.description = description
	d.home.image = j.imageURL(o.Get("icon"))
	if d.home.image == "" {
		d.home.image = j.imageURL(o.Get("image"))
	}
	// A video has a page of its own, with its channel and comments; the post leads there in any case.
	d.wantHome = true
	if m, ok := j.rendition(o); ok && m.ok {
		d.media = append([]apMedia{m}, d.media...)
	}
	if d.home.title == "" {
		d.home.title = j.lines.video + " · " + hostOf(d.home.url)
	}
}

// rendition picks the file of a video: one that was fetched, else the tallest that is not too tall.
func (j *apJob) rendition(o *as2.Value) (apMedia, bool) {
	links := append(o.Links("url"), nestedLinks(o)...)
	best := -1
	for i, l := range links {
		if l.MediaType != "video/mp4" && !strings.HasSuffix(l.Href, ".mp4") {
			continue
		}
		if _, ok := j.c.Blobs[l.Href]; ok {
			best = i
			break
		}
		if best < 0 || better(l, links[best]) {
			best = i
		}
	}
	if best < 0 {
		return apMedia{}, false
	}
	l := links[best]
	m := apMedia{url: l.Href, mediaType: "video/mp4", kind: mediaVideo, width: l.Width, height: l.Height, alt: o.Text("name")}
	j.fetched(&m)
	return m, true
}

func better(a, b as2.Link) bool {
	if a.Height > maxVideoHeight != (b.Height > maxVideoHeight) {
		return a.Height <= maxVideoHeight
	}
	return (a.Height > b.Height) == (a.Height <= maxVideoHeight)
}

// nestedLinks are the files that PeerTube lists below its HLS playlist.
func nestedLinks(o *as2.Value) []as2.Link {
	var out []as2.Link
	list := o.Get("url").List()
	for i := range list {
		tags := list[i].Get("tag").List()
		for k := range tags[:min(len(tags), maxAttachments)] {
			if href := tags[k].Get("href").Str(); href != "" {
				out = append(out, as2.Link{
					Href: href, MediaType: tags[k].Get("mediaType").Str(),
					Width: tags[k].Get("width").Int(), Height: tags[k].Get("height").Int(),
				})
			}
		}
	}
	return out
}

// work shows something that is played or read at its own place: a podcast, a track, an album, a document.
func (j *apJob) work(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	title := j.plain(o.Text("name"))
	if !strings.HasPrefix(d.body.text, title.text) || title.text == "" {
		d.body = joinRich("\n\n", title, d.body)
	}
	if o.Is("Document") && kindOf("Document", o.Get("mediaType").Str(), o.URL()) != mediaFile {
		if m, ok := j.file(o); ok {
			d.media = append(d.media, m)
			return
		}
	}
	if o.Is("Audio") {
		j.lose(LossAudio, title.text)
	}
	d.wantHome = true
	d.home.title = title.text
	if d.home.title == "" {
		d.home.title = j.lines.audio + " · " + hostOf(d.home.url)
	}
	d.home.image = j.imageURL(o.Get("image"))
	if d.home.image == "" {
		d.home.image = j.imageURL(o.Get("icon"))
	}
}

// picture shows an Image that is posted as such: its name describes it, its content is the text.
func (j *apJob) picture(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	m, ok := j.file(o)
	if !ok {
		return
	}
	m.kind = mediaImage
	m.alt = o.Text("name")
	j.fetched(&m)
	d.media = append([]apMedia{m}, d.media...)
}

// review shows BookWyrm's reviews, ratings and quotations.
func (j *apJob) review(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	if o.Is("Quotation") {
		if q := j.html(o.Text("quote"), false); q.text != "" {
			d.body = joinRich("\n\n", appendRich(appendRich(rich{text: "“"}, q), rich{text: "”"}), d.body)
		}
	}
	title := j.plain(o.Text("name"))
	if stars, ok := o.Get("rating").Float(); ok && stars > 0 && stars <= 5 {
		title = joinRich(" ", title, rich{text: "(" + strconv.FormatFloat(stars, 'g', 2, 64) + "/5)"})
	}
	if title.text != "" && !strings.HasPrefix(d.body.text, title.text) {
		d.body = joinRich("\n\n", title, d.body)
	}
}
