package translate

import (
	"fmt"
	"strings"
)

// maxParts of a thread; what does not fit is behind a link in the last part.
const maxParts = 10

// roomPerPart leaves room for the number of a part: "… (10/10)".
const roomPerPart = maxPostGraphemes - 10

// thread writes a long post as several records, each a reply to the one before. The parts without their numbers,
// one behind the other, are the source's text.
func (j *apJob) thread(rec map[string]any, d *apDraft, whole rich, embed map[string]any, quote StrongRef, quoted bool) []map[string]any {
	chunks, rest := splitRich(whole)
	if rest {
		j.lose(LossThreadTooLong, "")
	}
	var parts []map[string]any
	for i, c := range chunks {
		p := map[string]any{"$type": nsidPost, "createdAt": rec["createdAt"]}
		for _, k := range [...]string{"langs", "labels"} {
			if v, ok := rec[k]; ok {
				p[k] = v
			}
		}
		text := appendRich(c, rich{text: partNumber(c.text, i+1, len(chunks))})
		var e map[string]any
		if i == 0 {
			if r, ok := rec["reply"]; ok {
				p["reply"] = r
			}
			if e = embed; quoted {
				e = withQuote(quote, embed)
			}
		}
		if i == len(chunks)-1 && e == nil && (rest || d.wantHome) {
			e = j.embedCard(d.home)
		}
		parts = append(parts, j.fillPart(p, text, e, i == 0))
	}
	return parts
}

func (j *apJob) fillPart(p map[string]any, text rich, embed map[string]any, first bool) map[string]any {
	if first {
		return j.fill(p, text, embed)
	}
	tags := j.hashtags
	j.hashtags = &apHashtags{}
	defer func() { j.hashtags = tags }()
	return j.fill(p, text, embed)
}

// partNumber is what follows a part. A part that ends within a word gets an ellipsis, which belongs to the number.
func partNumber(text string, i, n int) string {
	if strings.HasSuffix(text, " ") || strings.HasSuffix(text, "\n") {
		return fmt.Sprintf("(%d/%d)", i, n)
	}
	if i == n {
		return fmt.Sprintf(" (%d/%d)", i, n)
	}
	return fmt.Sprintf("%s (%d/%d)", ellipsis, i, n)
}

// splitRich splits at a paragraph, else a sentence, else a word, else anywhere between characters; at most ten parts.
func splitRich(r rich) (chunks []rich, rest bool) {
	pos := 0
	for pos < len(r.text) && len(chunks) < maxParts {
		left := r.text[pos:]
		if fits(left, roomPerPart, maxPostBytes-32) {
			return append(chunks, r.slice(pos, len(r.text))), false
		}
		n := splitPoint(left, prefixLen(left, roomPerPart, maxPostBytes-32))
		n = avoidMarks(r, pos, n)
		chunks = append(chunks, r.slice(pos, pos+n))
		pos += n
	}
	return chunks, pos < len(r.text)
}

// splitPoint finds the best end of a part of at most end bytes.
func splitPoint(s string, end int) int {
	for _, sep := range [...]string{"\n\n", "\n", ". ", "! ", "? ", "。", " "} {
		if i := strings.LastIndex(s[:end], sep); i+len(sep) > end/3 {
			return i + len(sep)
		}
	}
	return end
}

// avoidMarks moves an end before a name or link that it would cut, if that leaves something.
func avoidMarks(r rich, pos, n int) int {
	for _, m := range r.marks {
		if m.start < pos+n && pos+n < m.end && m.start > pos {
			return m.start - pos
		}
	}
	return n
}

// writeParts writes the records of a post, each part an answer to the one before it.
func (j *apJob) writeParts(action, key, uri string, parts []map[string]any) {
	before := uri
	for i, p := range parts {
		w := Write{Action: action, Collection: nsidPost, RKey: key, URI: uri, Record: p}
		if i > 0 {
			w.Part, w.RKey = i, partKey(key, i)
			w.URI = "at://" + j.actor.DID + "/" + nsidPost + "/" + w.RKey
			j.linkPart(p, parts[0], parts[i-1], uri, before)
			before = w.URI
		}
		j.out.Writes = append(j.out.Writes, w)
	}
}
