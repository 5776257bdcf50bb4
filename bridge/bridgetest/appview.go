package bridgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// AppView reads what people of the ATmosphere see, over the public XRPC interface.
type AppView struct {
	// Base is the AppView's URL.
	Base string
	HTTP *http.Client
}

// Query asks one method and decodes the answer.
func (a AppView) Query(ctx context.Context, method string, params url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.Base, "/")+"/xrpc/"+method+"?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := a.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", method, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Profile is app.bsky.actor.defs#profileViewDetailed, as far as it is looked at.
type Profile struct {
	DID         string `json:"did"`
	Handle      string `json:"handle"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
	Avatar      string `json:"avatar"`
}

// Profile reads a profile.
func (a AppView) Profile(ctx context.Context, actor string) (p Profile, err error) {
	return p, a.Query(ctx, "app.bsky.actor.getProfile", url.Values{"actor": {actor}}, &p)
}

// Post is app.bsky.feed.defs#postView, as far as it is looked at.
type Post struct {
	URI    string `json:"uri"`
	CID    string `json:"cid"`
	Author struct {
		DID    string `json:"did"`
		Handle string `json:"handle"`
	} `json:"author"`
	Record struct {
		Text   string           `json:"text"`
		Facets []map[string]any `json:"facets"`
		Tags   []string         `json:"tags"`
		Langs  []string         `json:"langs"`
		Embed  map[string]any   `json:"embed"`
		Reply  map[string]any   `json:"reply"`
	} `json:"record"`
	Embed       map[string]any `json:"embed"`
	LikeCount   int            `json:"likeCount"`
	RepostCount int            `json:"repostCount"`
	ReplyCount  int            `json:"replyCount"`
}

// Feed lists an author's posts, newest first.
func (a AppView) Feed(ctx context.Context, actor string) ([]Post, error) {
	var out struct {
		Feed []struct {
			Post Post `json:"post"`
		} `json:"feed"`
	}
	err := a.Query(ctx, "app.bsky.feed.getAuthorFeed", url.Values{"actor": {actor}, "limit": {"100"}}, &out)
	posts := make([]Post, 0, len(out.Feed))
	for _, f := range out.Feed {
		posts = append(posts, f.Post)
	}
	return posts, err
}

// Find waits for a post of an author whose text contains a piece.
func (a AppView) Find(ctx context.Context, actor, piece string) (found Post, err error) {
	err = Eventually(ctx, fmt.Sprintf("a post with %q", piece), func(ctx context.Context) error {
		posts, err := a.Feed(ctx, actor)
		if err != nil {
			return err
		}
		for _, p := range posts {
			if strings.Contains(p.Record.Text, piece) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("not among %d posts", len(posts))
	})
	return found, err
}
