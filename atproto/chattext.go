package atproto

import (
	"regexp"
	"strings"

	"github.com/rivo/uniseg"
)

// Limits of chat.bsky.convo.defs#messageInput.
const (
	maxMessageGraphemes = 1000
	maxMessageBytes     = 10_000
)

// splitMessage cuts a long text at line ends, else at spaces, else between characters.
func splitMessage(text string) []string {
	text = strings.TrimSpace(text)
	var parts []string
	for text != "" {
		cut := fitting(text)
		if cut < len(text) {
			if i := strings.LastIndexByte(text[:cut], '\n'); i > cut/2 {
				cut = i
			} else if i := strings.LastIndexByte(text[:cut], ' '); i > cut/2 {
				cut = i
			}
		}
		parts = append(parts, strings.TrimSpace(text[:cut]))
		text = strings.TrimSpace(text[cut:])
	}
	return parts
}

// fitting returns how many bytes of the text fit into one message, ending between graphemes.
func fitting(text string) int {
	end, count, state := 0, 0, -1
	rest := text
	for rest != "" {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if count++; count > maxMessageGraphemes || end+len(cluster) > maxMessageBytes {
			if end == 0 { // one monstrous cluster
				return min(len(text), maxMessageBytes)
			}
			return end
		}
		end += len(cluster)
	}
	return end
}

var chatLink = regexp.MustCompile(`https?://[^\s<>"']+`)

// linkFacets makes addresses in a message clickable: apps link only what facets name.
func linkFacets(text string) []any {
	var facets []any
	for _, at := range chatLink.FindAllStringIndex(text, -1) {
		link := strings.TrimRight(text[at[0]:at[1]], ".,;:!?)]")
		facets = append(facets, map[string]any{
			"index":    map[string]any{"byteStart": at[0], "byteEnd": at[0] + len(link)},
			"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": link}},
		})
	}
	return facets
}
