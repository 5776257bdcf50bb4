package bridge

import (
	"html"
	"regexp"
	"strings"
)

var urlInText = regexp.MustCompile(`https?://[^\s<>"]+[^\s<>".,;:!?)]`)

// noteHTML renders plain text as the HTML of a Note: paragraphs, line breaks, links; everything else is shown as typed.
func noteHTML(text string) string {
	var b strings.Builder
	for _, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		b.WriteString("<p>")
		for i, line := range strings.Split(paragraph, "\n") {
			if i > 0 {
				b.WriteString("<br>")
			}
			b.WriteString(linked(line))
		}
		b.WriteString("</p>")
	}
	return b.String()
}

func linked(line string) string {
	var b strings.Builder
	at := 0
	for _, span := range urlInText.FindAllStringIndex(line, -1) {
		url := html.EscapeString(line[span[0]:span[1]])
		b.WriteString(html.EscapeString(line[at:span[0]]) + `<a href="` + url + `" rel="nofollow noopener noreferrer">` + url + `</a>`)
		at = span[1]
	}
	return b.String() + html.EscapeString(line[at:])
}
