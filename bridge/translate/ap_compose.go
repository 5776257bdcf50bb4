package translate

import "strings"

// compose lays the post out within the limits: text, embed, labels, tags. It gives one record, or several for a thread,
// or none if nothing would be shown.
func (j *apJob) compose(rec map[string]any, d *apDraft, quote StrongRef, quoted bool) []map[string]any {
	list, more := j.splitAlbum(d.media)
	embed, left := j.embedMedia(list)
	if len(left) > 0 {
		d.wantHome = true
		d.home.describe(j.lines, left)
	}
	d.wantHome = d.wantHome || j.needHome
	if !d.bare {
		if l := j.labels(j.obj, len(d.media) > 0 || d.home.image != ""); l != nil {
			rec["labels"] = l
		}
	}
	// While collecting, files count as fetched, so that no card is asked for in vain.
	hasMedia := embed != nil || j.collecting() && len(d.media) > 0
	whole := joinRich("\n\n", d.head, d.body, d.tail)
	suffix := j.suffix(d, hasMedia, d.wantHome, whole)
	text := joinRich("\n\n", whole, suffix)
	if !fits(text.text, maxPostGraphemes, maxPostBytes) {
		d.body, whole = d.body.shortenLinks(), whole.shortenLinks()
		text = joinRich("\n\n", whole, suffix)
	}
	if !fits(text.text, maxPostGraphemes, maxPostBytes) {
		if j.c.Options.LongMode == "thread" && !d.bare {
			return append(j.thread(rec, d, whole, embed, quote, quoted), j.album(rec, more)...)
		}
		j.lose(LossTextShortened, "")
		d.wantHome = true
		text = j.cutDraft(d, j.suffix(d, hasMedia, true, whole))
	}
	embed = j.chooseEmbed(d, embed, hasMedia, text)
	if quoted {
		embed = withQuote(quote, embed)
	}
	if text.text == "" && embed == nil {
		return nil
	}
	return append([]map[string]any{j.fill(rec, text, embed)}, j.album(rec, more)...)
}

// setText sets what every part of a post has.
func setText(rec map[string]any, text rich, embed map[string]any) {
	rec["text"] = text.text
	if f := text.facets(); f != nil {
		rec["facets"] = f
	}
	if embed != nil {
		rec["embed"] = embed
	}
}

// fill completes a record.
func (j *apJob) fill(rec map[string]any, text rich, embed map[string]any) map[string]any {
	setText(rec, text, embed)
	if tags := j.outerTags(text.marks); tags != nil {
		rec["tags"] = tags
	}
	return rec
}

// describe says in a card what files could not be carried, with their descriptions.
func (c *apCard) describe(l *apLines, left []apMedia) {
	var lines []string
	for _, m := range left {
		lines = append(lines, mediaLine(l, m))
	}
	if c.description != "" {
		lines = append([]string{c.description}, lines...)
	}
	c.description = strings.Join(lines, "\n")
}

// mediaLine is "[video: what it shows]".
func mediaLine(l *apLines, m apMedia) string {
	kind := map[mediaKind]string{mediaImage: l.image, mediaVideo: l.video, mediaAudio: l.audio}[m.kind]
	if m.alt == "" {
		return "[" + kind + "]"
	}
	return "[" + kind + ": " + strings.TrimSpace(m.alt) + "]"
}

// maxSuffix is how much of a post links below the text may take, in graphemes.
const maxSuffix = 150

// suffix is the lines with links for which there is no room in the embed: attached links beside pictures, and the
// original where the embed is taken.
func (j *apJob) suffix(d *apDraft, hasMedia, wantHome bool, text rich) rich {
	var out, home rich
	free := !hasMedia
	var rest []string
	for _, c := range d.cards {
		u, ok := webURL(c.url)
		switch {
		case !ok || hasLink(text, u):
		case free && c.mayShow():
			free = false
		default:
			rest = append(rest, u)
		}
	}
	if u, ok := webURL(d.home.url); ok && wantHome && !free && !hasLink(text, u) {
		home = j.homeLink(d, u, hasMedia)
	}
	for _, u := range rest {
		next := joinRich("\n", out, linkRich(shortURL(u), u))
		j.lose(LossLinkCard, u)
		if sized(next.text)+sized(home.text) <= maxSuffix {
			out = next
		}
	}
	return joinRich("\n", out, home)
}

// homeLink is the link to the original in the text; where files are missing beside others, it says which.
func (j *apJob) homeLink(d *apDraft, u string, hasMedia bool) rich {
	line := ""
	if hasMedia && strings.HasPrefix(d.home.description, "[") {
		line, _ = cutText(oneLine(d.home.description), 120, 800)
		line += " "
	}
	return appendRich(rich{text: line}, linkRich(shortURL(u), u))
}

func hasLink(r rich, url string) bool {
	for _, m := range r.marks {
		if m.kind == markLink && m.value == url {
			return true
		}
	}
	return false
}

// minBody is how much of the text is worth keeping beside head and tail.
const minBody = 40

// cutDraft cuts the body so that head, tail and suffix stay whole; if those leave no room, everything but the suffix
// is cut from the end.
func (j *apJob) cutDraft(d *apDraft, suffix rich) rich {
	room, bytes := maxPostGraphemes-sized(suffix.text), maxPostBytes-len(suffix.text)-2
	rest := joinRich("\n\n", d.head, d.tail)
	n, m := room-sized(rest.text), bytes-len(rest.text)-2
	body := d.body
	switch {
	case body.text != "" && n >= minBody && m >= minBody*4:
		body, _ = body.cut(n, m)
		return joinRich("\n\n", d.head, body, d.tail, suffix)
	default:
		whole, _ := joinRich("\n\n", d.head, d.body, d.tail).cut(room, bytes)
		return joinRich("\n\n", whole, suffix)
	}
}

// sized is the room that a block and the gap before it take.
func sized(s string) int {
	if s == "" {
		return 0
	}
	return graphemes(s) + 2
}

// chooseEmbed decides what is shown below the text: media, else the author's card, else the original if it is wanted,
// else the card of the first link.
func (j *apJob) chooseEmbed(d *apDraft, embed map[string]any, hasMedia bool, text rich) map[string]any {
	if hasMedia {
		return embed
	}
	for _, c := range d.cards {
		if e := j.embedCard(c); e != nil && c.mayShow() {
			return e
		}
	}
	if d.wantHome {
		if e := j.embedCard(d.home); e != nil {
			return e
		}
	}
	if j.quoted != "" && !j.collecting() {
		return nil
	}
	if c, ok := j.previewCard(text); ok {
		return j.embedCard(c)
	}
	return nil
}
