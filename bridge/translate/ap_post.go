package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// apDraft is a post in the making.
type apDraft struct {
	// head stands above the text and tail below it; both are kept whole where the text is cut.
	head, body, tail rich
	// cards are what the author attached; home is the card of the original, used if wantHome.
	cards    []apCard
	home     apCard
	wantHome bool
	media    []apMedia
	langs    []string
	// extra makes records that go with the post, such as a document or an event.
	extra func(key, uri, createdAt string) []Write
	// bare is set where only a warning and a link are shown (cw_mode link).
	bare bool
}

// post makes a post of an object that the actor owns.
func (j *apJob) post(action string) {
	o := j.obj
	old, known := j.known(o.ID())
	if action == "update" && !known && !j.collecting() {
		j.drop(DropUnknownTarget)
		return
	}
	if known && didOf(old.URI) != j.actor.DID && !j.collecting() {
		j.drop(DropNotOwner)
		return
	}
	if !j.admitted(action, old) && !j.collecting() {
		return
	}
	j.base = o.URL()
	if j.base == "" {
		j.base = o.ID()
	}
	d := j.draft()
	j.finishPost(action, old, d)
}

// known is the record that stands for an object already.
func (j *apJob) known(id string) (StrongRef, bool) {
	if id == "" {
		return StrongRef{}, false
	}
	j.want(refObjects, id)
	r, ok := j.c.Objects[id]
	return r, ok
}

func didOf(uri string) string {
	did, _, _, _ := SplitURI(uri)
	return did
}

// admitted checks the kind and the audience. An edit that makes a post private takes the copy back.
func (j *apJob) admitted(action string, old StrongRef) bool {
	activity := j.doc
	if activity == j.obj {
		activity = nil
	}
	aud := audienceOf(activity, j.obj)
	switch {
	case isVote(j.obj):
		j.drop(DropVote)
	case copyOfRecord(j.obj):
		j.drop(DropLoop)
	case j.obj.Has("expiresAt") && j.obj.Is("Story"):
		j.drop(DropStory)
	case aud == audiencePublic:
		return true
	case action == "update":
		j.deletePost(j.obj.ID(), old.URI)
	default:
		j.drop(aud.dropReason())
	}
	return false
}

// isVote knows a vote in a poll: a Note with a name and no text, in answer to the poll.
func isVote(o *as2.Value) bool {
	return o.Is("Note") && o.Text("name") != "" && o.Text("content") == "" && o.RefOf("inReplyTo") != "" && len(o.Get("attachment").List()) == 0
}

// copyOfRecord tells whether an object says of itself that it is the copy of an AT record (FEP-fffd).
func copyOfRecord(o *as2.Value) bool {
	for _, l := range o.Links("url") {
		if strings.HasPrefix(l.Href, "at://did:") && (l.Rel == "canonical" || l.Rel == "alternate" || l.Rel == "") {
			return true
		}
	}
	list := o.Get("proxyOf").List()
	for i := range list {
		if p := list[i].Get("proxied"); strings.HasPrefix(p.Ref(), "at://") || strings.HasPrefix(list[i].Ref(), "at://") {
			return true
		}
	}
	return false
}

// draft reads the object by its type.
func (j *apJob) draft() *apDraft {
	o := j.obj
	j.shown = map[string]bool{}
	j.quoted = quoteProperty(o)
	j.readTags(o)
	d := &apDraft{}
	d.media, d.cards = j.attachments(o)
	d.home.url = j.originalURL()
	if o.Has("location") && !o.Is("Event") {
		j.lose(LossPlace, "")
	}
	switch {
	case o.Is("Question"):
		j.poll(d)
	case o.Is("Article"):
		j.article(d)
	case o.Is("Page"):
		j.page(d)
	case o.Is("Event"):
		j.event(d)
	case o.Is("Video"):
		j.video(d)
	case o.Is("Audio", "Album", "Track", "Podcast", "PodcastEpisode", "Recipe", "Document"):
		j.work(d)
	case o.Is("Image"):
		j.picture(d)
	case o.Is("Review", "Quotation", "Rating"):
		j.review(d)
	case o.Is("Note", "Comment"):
		j.note(d)
	default:
		j.work(d)
	}
	if d.home.title == "" {
		d.home.title = j.lines.readOn + " " + hostOf(d.home.url)
	}
	d.body = j.stripQuoteLine(d.body)
	d.media = append(d.media, j.pictures...)
	j.warn(d)
	return d
}

// note is the plain case. A name beside a text is a title, which Discourse and others send.
func (j *apJob) note(d *apDraft) {
	d.body, d.langs = j.text()
	if list := j.obj.Get("image"); len(d.media) == 0 && list.First().IsObject() {
		if m, ok := j.file(list.First()); ok && m.kind == mediaImage {
			d.media = append(d.media, m)
		}
	}
	if name := j.plain(j.obj.Text("name")); name.text != "" && len(j.obj.Refs("inReplyTo")) == 0 && !strings.HasPrefix(d.body.text, strings.TrimRight(name.text, "…. ")) {
		d.body = joinRich("\n\n", name, d.body)
	}
}

// text reads the content. Markdown and plain text keep their lines.
func (j *apJob) text() (rich, []string) {
	text, langs := j.content(j.obj)
	mt := j.obj.Get("mediaType").Str()
	if strings.HasPrefix(mt, "text/plain") {
		l := layout{keepLines: true}
		l.chars(text)
		return j.scan(l.finish()), langs
	}
	return j.html(text, strings.HasPrefix(mt, "text/markdown") || strings.HasPrefix(mt, "text/x.misskeymarkdown")), langs
}

// warn puts the content warning where the author wants it.
func (j *apJob) warn(d *apDraft) {
	w := j.warning(j.obj)
	if w == "" {
		return
	}
	line := j.scan(rich{text: w})
	switch j.c.Options.CWMode {
	case "skip":
		j.drop(DropByChoice)
	case "link":
		*d = apDraft{head: appendRich(rich{text: j.lines.warning + ": "}, line), home: d.home, wantHome: true, langs: d.langs, bare: true}
		j.quoted = ""
		j.hashtags = &apHashtags{}
	default:
		j.lose(LossContentWarning, "")
		d.head = joinRich("\n\n", appendRich(appendRich(rich{text: "["}, line), rich{text: "]"}), d.head)
	}
}

// finishPost puts the post together and writes it.
func (j *apJob) finishPost(action string, old StrongRef, d *apDraft) {
	o := j.obj
	reply, ok := j.reply(o)
	if !ok {
		return
	}
	quote, quoted, notice := j.quote()
	if j.out.Dropped != None {
		return
	}
	if !d.bare {
		d.tail = joinRich("\n\n", d.tail, notice)
	}
	key, uri := j.place(nsidPost, old)
	created := j.createdOf(o, old)
	rec := map[string]any{"$type": nsidPost, "createdAt": created}
	if reply != nil {
		rec["reply"] = reply
	}
	if len(d.langs) > 0 {
		rec["langs"] = anyStrings(d.langs)
	}
	parts := j.compose(rec, d, quote, quoted)
	if len(parts) == 0 {
		j.drop(DropEmpty)
		return
	}
	if action == "update" && len(parts) == 1 && j.unchanged(old.URI, parts[0]) {
		j.drop(DropUnchanged)
		return
	}
	j.writeParts(action, key, uri, parts)
	beside := j.gates(o, uri, reply != nil, created)
	if d.extra != nil {
		beside = append(beside, d.extra(key, uri, created)...)
	}
	j.writeBeside(action, uri, beside)
}

// besidePost are the collections of records that stand beside a post under its key.
func besidePost() []string { return []string{nsidThreadgate, nsidPostgate, nsidDocument, nsidEvent} }

// besideID is the source id of a record beside a post: each has a place of its own in the object map.
func besideID(id, collection string) string {
	return id + "#" + collection[strings.LastIndexByte(collection, '.')+1:]
}

// writeBeside writes the records beside a post. An edit replaces those that are there and takes away those that the
// new version has no more.
func (j *apJob) writeBeside(action, postURI string, list []Write) {
	have := map[string]bool{}
	for _, w := range list {
		w.Source = besideID(j.obj.ID(), w.Collection)
		// Gates come and go with an edit; a document or event is there from the first.
		_, known := j.known(w.Source)
		if action == "update" && (known || w.Collection == nsidDocument || w.Collection == nsidEvent) {
			w.Action = "update"
		}
		have[w.Collection] = true
		j.out.Writes = append(j.out.Writes, w)
	}
	if action == "update" {
		j.deleteBeside(j.obj.ID(), postURI, have)
	}
}

// deleteBeside deletes the records beside a post that are known, except those in keep.
func (j *apJob) deleteBeside(id, postURI string, keep map[string]bool) {
	for _, c := range besidePost() {
		did, _, key, ok := SplitURI(postURI)
		uri := "at://" + did + "/" + c + "/" + key
		_, mapped := j.known(besideID(id, c))
		_, fetched := j.c.Records[uri]
		if ok && (mapped || fetched) && !keep[c] {
			j.out.Writes = append(j.out.Writes, Write{Action: "delete", Collection: c, RKey: key, URI: uri, Source: besideID(id, c)})
		}
	}
}

// place is the key and address of the record: those it has, or those that follow from the source id.
func (j *apJob) place(collection string, old StrongRef) (key, uri string) {
	if _, _, k, ok := SplitURI(old.URI); ok {
		return k, old.URI
	}
	source := j.obj.ID()
	if source == "" {
		source = j.doc.ID() + "#object"
	}
	key = recordTID(source, j.published(j.obj), j.c.Incarnation, 0)
	return key, "at://" + j.actor.DID + "/" + collection + "/" + key
}

// createdOf keeps the date of a record that is there, if the source does not tell.
func (j *apJob) createdOf(o *as2.Value, old StrongRef) string {
	if _, ok := o.Time("published"); !ok && old.URI != "" {
		if was := j.record(old.URI).Get("createdAt").Str(); was != "" {
			if t, ok := as2.ParseTime(was); ok {
				return formatTime(t)
			}
		}
	}
	return j.createdAt(o)
}

// unchanged tells whether a record says what it said before, as after a new count of votes.
func (j *apJob) unchanged(uri string, rec map[string]any) bool {
	old := j.record(uri)
	if old == nil {
		return false
	}
	was, err := as2.AppendValue(nil, old.Any())
	now, err2 := as2.AppendValue(nil, rec)
	return err == nil && err2 == nil && string(was) == string(now)
}

func anyStrings(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// aux is a record beside a post, under the same key.
func (j *apJob) aux(postURI, collection string, rec map[string]any) Write {
	did, _, key, _ := SplitURI(postURI)
	return Write{Action: "create", Collection: collection, RKey: key, URI: "at://" + did + "/" + collection + "/" + key, Record: rec}
}
