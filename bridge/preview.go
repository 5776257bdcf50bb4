package bridge

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"footbridge/bridge/translate"
)

// maxPage is how much of a page is read for its card; what matters stands in its head.
const maxPage = 512 << 10

// addPreview reads the card of a linked page (Open Graph, else title and description). The link is one that the author
// wrote themselves and that leads to no post of a person (R41).
func (b *Bridge) addPreview(ctx context.Context, link string, c *translate.Context, blobs blobSet) {
	raw, err := b.fetchMedia(ctx, translate.MediaRef{URL: link, Kind: "page"})
	if err != nil {
		b.Log.LogAttrs(ctx, slog.LevelDebug, "page not fetched", slog.Any("error", err))
		return
	}
	card := readCard(raw[:min(len(raw), maxPage)])
	if card.Title == "" {
		return
	}
	if card.Image != "" {
		if at, err := url.Parse(link); err == nil {
			if image, err := at.Parse(card.Image); err == nil {
				card.Image = image.String()
			}
		}
		b.addMedia(ctx, translate.MediaRef{URL: card.Image, Kind: "thumb"}, c, blobs)
	}
	c.Previews[link] = card
}

// readCard takes title, description and picture from the head of a page.
func readCard(page []byte) translate.Preview {
	var card, plain translate.Preview
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return merge(card, plain)
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			switch t.DataAtom {
			case atom.Meta:
				readMeta(t, &card, &plain)
			case atom.Title:
				if plain.Title == "" && z.Next() == html.TextToken {
					plain.Title = strings.TrimSpace(string(z.Text()))
				}
			case atom.Body:
				return merge(card, plain)
			}
		}
	}
}

func readMeta(t html.Token, card, plain *translate.Preview) {
	var name, content string
	for _, a := range t.Attr {
		switch a.Key {
		case "property", "name":
			name = strings.ToLower(a.Val)
		case "content":
			content = strings.TrimSpace(a.Val)
		}
	}
	switch name {
	case "og:title":
		card.Title = content
	case "og:description":
		card.Description = content
	case "og:image", "og:image:url":
		if card.Image == "" {
			card.Image = content
		}
	case "description":
		plain.Description = content
	}
}

func merge(card, plain translate.Preview) translate.Preview {
	return translate.Preview{Title: firstOf(card.Title, plain.Title), Description: firstOf(card.Description, plain.Description), Image: card.Image}
}
