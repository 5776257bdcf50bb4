package translate

import (
	"fmt"
	"strings"
)

// maxParts of a thread; what does not fit is behind a link in the last part.
const maxParts = 10

// roomPerPart leaves room for the number of a part: " (10/10)".
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
		text := appendRich(c, rich{text: partNumber(i+1, len(chunks))})
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
		setText(p, text, e)
		parts = append(parts, p)
	}
	// Tags that no part shows stand beside the first.
	if tags := j.outerTags(whole.marks); tags != nil && len(parts) > 0 {
		parts[0]["tags"] = tags
	}
	return parts
}

// partNumber is what follows a part. The no-break space is no character of the text, so that parts can be put together
// again: each is a piece of the source with all its white space, then this.
func partNumber(i, n int) string { return fmt.Sprintf("\u00a0(%d/%d)", i, n) }

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
		w := Write{Action: action, Collection: nsidPost, RKey: key, URI: uri, Record: p, Source: j.obj.ID()}
		if i > 0 {
			w.Part, w.RKey = i, partKey(key, i)
			w.URI = "at://" + j.actor.DID + "/" + nsidPost + "/" + w.RKey
			j.linkPart(p, parts[0], parts[i-1], uri, before)
			before = w.URI
		}
		j.out.Writes = append(j.out.Writes, w)
	}
}

// splitAlbum takes the pictures that go into further parts, if the author chose so: four to a part.
func (j *apJob) splitAlbum(media []apMedia) (list []apMedia, more [][]apMedia) {
	if j.c.Options.ManyImages != "thread" {
		return media, nil
	}
	var images []apMedia
	for _, m := range media {
		if m.kind == mediaImage && m.ok {
			images = append(images, m)
		} else {
			list = append(list, m)
		}
	}
	first := min(len(images), maxImages)
	if len(list) > 0 && anyVideo(list) {
		first = 0
	}
	list = append(list, images[:first]...)
	for rest := images[first:]; len(rest) > 0 && len(more) < maxParts-1; {
		n := min(len(rest), maxImages)
		more, rest = append(more, rest[:n]), rest[n:]
	}
	return list, more
}

func anyVideo(list []apMedia) bool {
	for _, m := range list {
		if m.kind == mediaVideo && m.ok {
			return true
		}
	}
	return false
}

// album makes the further parts of an album.
func (j *apJob) album(first map[string]any, more [][]apMedia) []map[string]any {
	var parts []map[string]any
	for _, images := range more {
		p := map[string]any{"$type": nsidPost, "createdAt": first["createdAt"], "text": "", "embed": imagesEmbed(images)}
		for _, k := range [...]string{"langs", "labels"} {
			if v, ok := first[k]; ok {
				p[k] = v
			}
		}
		parts = append(parts, p)
	}
	return parts
}
