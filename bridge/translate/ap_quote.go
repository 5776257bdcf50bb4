package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// quoteProperty is what an object says it quotes. The order is that of the newest rule first (FEP-044f), then Misskey,
// Pleroma, Fedibird. BookWyrm's quote is a text, so only an address or an object counts.
func quoteProperty(o *as2.Value) string {
	for _, key := range [...]string{"quote", "_misskey_quote", "quoteUrl", "quoteUri", "quoteURL", "quoteURI"} {
		v := o.Get(key).First()
		if v.Is("Tombstone") {
			continue
		}
		if ref := v.Ref(); hasFold(ref, "https://") || hasFold(ref, "http://") || strings.HasPrefix(ref, "at://") {
			return ref
		}
	}
	return ""
}

// stripQuoteLine takes the line off that stands for the quote where quotes are not known: "RE: address" at the end, or
// the quoted address alone on the last line.
func (j *apJob) stripQuoteLine(r rich) rich {
	for range 4 {
		next := j.stripOneLine(r)
		if next.text == r.text {
			break
		}
		r = next
	}
	return j.stripFirstLine(r)
}

// stripFirstLine takes the line off where it stands at the top, as newer Mastodon writes it.
func (j *apJob) stripFirstLine(r rich) rich {
	line, _, more := strings.Cut(r.text, "\n")
	address, re := strings.CutPrefix(line, "RE: ")
	if !re || !more || j.quoted == "" {
		return r
	}
	if _, ok := lastLink(r.slice(0, len(line)), 0, address); !ok {
		return r
	}
	return r.slice(len(line), len(r.text)).trim()
}

func (j *apJob) stripOneLine(r rich) rich {
	start, line := lastLine(r.text)
	address, re := strings.TrimSpace(line), false
	for _, p := range [...]string{"RE:", "Re:", "re:", "RE：", "QT:", "RT:"} {
		if a, ok := strings.CutPrefix(address, p); ok {
			address, re = strings.TrimSpace(a), true
			break
		}
	}
	if !re && j.quoted != "" {
		if i := strings.LastIndex(line, "RE: "); i >= 0 && !strings.ContainsAny(line[i+4:], " \t") && (i == 0 || line[i-1] == ' ') {
			start, address, re = start+i, line[i+4:], true
		}
	}
	href, ok := lastLink(r, start, address)
	if !ok {
		return r
	}
	switch {
	case j.quoted != "" && (re || href == j.quoted || j.samePost(href, j.quoted)):
	case j.quoted != "":
		return r
	case re && (looksLikePost(href) || j.isPost(href)):
		j.quoted = href
	case strings.HasPrefix(href, "https://bsky.app/profile/") && j.isPost(href):
		j.quoted = href
	default:
		return r
	}
	return r.slice(0, start).trimRight()
}

func lastLine(s string) (start int, line string) {
	s = strings.TrimRight(s, " \n")
	start = strings.LastIndexByte(s, '\n') + 1
	return start, s[start:]
}

// lastLink is the link that is all of an address at the end of a text.
func lastLink(r rich, start int, address string) (string, bool) {
	if address == "" || strings.ContainsAny(address, " \t") {
		return "", false
	}
	for i := len(r.marks) - 1; i >= 0; i-- {
		m := r.marks[i]
		if m.start >= start && m.kind == markLink && r.text[m.start:m.end] == address {
			return m.value, true
		}
	}
	return "", false
}

// isPost tells whether an address leads to a record that was bridged or may be quoted.
func (j *apJob) isPost(href string) bool {
	_, ok := j.strongRef(j.rawLink(href))
	return ok
}

func (j *apJob) samePost(a, b string) bool {
	x, ok := j.strongRef(j.rawLink(a))
	y, ok2 := j.strongRef(b)
	return ok && ok2 && x.URI == y.URI
}

// quote is the record that is quoted. A quote that is not shared leaves no trace of its address (R36), only a line
// that says that one is missing.
func (j *apJob) quote() (ref StrongRef, ok bool, notice rich) {
	if j.quoted == "" {
		return StrongRef{}, false, rich{}
	}
	ref, ok = j.strongRef(j.quoted)
	if ok && j.mayQuote(ref) {
		return ref, true, rich{}
	}
	if j.c.Options.SkipQuotesOfOthers {
		j.drop(DropQuoteNotShared)
	}
	j.lose(LossQuoteNotShared, "")
	return StrongRef{}, false, rich{text: "(" + j.lines.quoteNotShared + ")"}
}

// mayQuote asks the postgate of the quoted post, where it is known.
func (j *apJob) mayQuote(ref StrongRef) bool {
	did, _, rkey, ok := SplitURI(ref.URI)
	if !ok {
		return false
	}
	if did == j.actor.DID {
		return true
	}
	rules := j.record("at://" + did + "/" + nsidPostgate + "/" + rkey).Get("embeddingRules").List()
	for i := range rules {
		if rules[i].Get("$type").Str() == nsidPostgate+"#disableRule" {
			return false
		}
	}
	return true
}

// withQuote joins a quote with what else is embedded.
func withQuote(ref StrongRef, media map[string]any) map[string]any {
	rec := map[string]any{"$type": "app.bsky.embed.record", "record": refMap(ref)}
	if media == nil {
		return rec
	}
	return map[string]any{"$type": "app.bsky.embed.recordWithMedia", "record": rec, "media": media}
}
