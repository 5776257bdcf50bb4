package bridgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"slices"
	"strings"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge"
)

const alt = "A blue van in front of a yellow house, its door open"

func picture() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 320, 200))
	for y := range 200 {
		for x := range 320 {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), 160, 255}) //nolint:gosec // wraps around on purpose
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

func (s *Story) anaPosts(ctx context.Context) error {
	media := s.w.Fedi.AddMedia("van.png", "image/png", picture())
	soup, err := s.ana.Post(ctx, activitypubtest.Note{
		Content: fmt.Sprintf(`<p>Soup tonight at seven. <a href="%s" class="u-url mention">@ben</a> brings the pots. <a href="https://soup.example/map">soup.example/map</a> <a href="%s/tags/mutualaid" class="mention hashtag">#<span>MutualAid</span></a></p>`,
			s.benCopy, s.w.Fedi.Origin()),
		Mentions: []string{s.benCopy}, Tags: []string{"MutualAid"},
		Attachments: []activitypubtest.Attachment{{URL: media, Mime: "image/png", Alt: alt, Width: 320, Height: 200}},
	})
	if err != nil {
		return err
	}
	s.soup = soup.ID
	post, err := s.view.Find(ctx, s.anaCopy, "Soup tonight")
	if err != nil {
		return err
	}
	s.say("Ana's post is on the ATmosphere: %q", post.Record.Text)
	if got := imageAlt(post.Record.Embed); got != alt {
		return fmt.Errorf("the picture's description became %q", got)
	}
	s.say("  its picture carries the same description, byte for byte: %q", alt)
	for _, f := range post.Record.Facets {
		s.say("  facet: %s", facetOf(post.Record.Text, f))
	}
	return nil
}

func imageAlt(embed map[string]any) string {
	images, _ := embed["images"].([]any)
	if len(images) == 0 {
		return ""
	}
	first, _ := images[0].(map[string]any)
	text, _ := first["alt"].(string)
	return text
}

// facetOf says what a facet marks, cut out of the text by its byte offsets.
func facetOf(text string, facet map[string]any) string {
	index, _ := facet["index"].(map[string]any)
	from, _ := index["byteStart"].(float64)
	to, _ := index["byteEnd"].(float64)
	features, _ := facet["features"].([]any)
	if int(to) > len(text) || len(features) == 0 {
		return "out of range"
	}
	feature, _ := features[0].(map[string]any)
	kind, _ := feature["$type"].(string)
	return fmt.Sprintf("%q is a %s", text[int(from):int(to)], kind[strings.IndexByte(kind, '#')+1:])
}

func (s *Story) benAnswers(ctx context.Context) error {
	post, err := s.view.Find(ctx, s.anaCopy, "Soup tonight")
	if err != nil {
		return err
	}
	ref := map[string]any{"uri": post.URI, "cid": post.CID}
	reply, err := s.w.AT.PDS.Put(s.ben, "app.bsky.feed.post", "", map[string]any{
		"text": "On my way with the big ones", "langs": []any{"en"}, "reply": map[string]any{"root": ref, "parent": ref}, "createdAt": stamp()})
	if err != nil {
		return err
	}
	got, err := s.wait(ctx, "Create", s.benCopy, "On my way")
	if err != nil {
		return err
	}
	object, _ := got.Activity["object"].(map[string]any)
	parent, _ := object["inReplyTo"].(string)
	if !strings.HasPrefix(parent, s.w.Fedi.Origin()) {
		return fmt.Errorf("the reply answers %q", parent)
	}
	if len(got.Violations) > 0 {
		return fmt.Errorf("the reply breaks rules of the fediverse: %v", got.Violations)
	}
	s.say("Ben's reply arrives at Ana's server, signed, in the right thread.")
	if _, err := s.w.AT.PDS.Put(s.ben, "app.bsky.feed.like", "", map[string]any{"subject": ref, "createdAt": stamp()}); err != nil {
		return err
	}
	if _, err := s.wait(ctx, "Like", s.benCopy, parent); err != nil {
		return err
	}
	s.say("Ben's like arrives as a Like of her post.")
	return s.anaReacts(ctx, object, reply.URI)
}

func (s *Story) anaReacts(ctx context.Context, reply map[string]any, uri string) error {
	id, _ := reply["id"].(string)
	if _, err := s.ana.Like(ctx, id); err != nil {
		return err
	}
	if _, err := s.ana.Announce(ctx, id); err != nil {
		return err
	}
	err := Eventually(ctx, "Ana's like and boost on the AppView", func(ctx context.Context) error {
		posts, err := s.view.Feed(ctx, string(s.ben.DID))
		if err != nil {
			return err
		}
		for _, p := range posts {
			if p.URI == uri && p.LikeCount == 1 && p.RepostCount == 1 {
				return nil
			}
		}
		return errors.New("not counted")
	})
	if err == nil {
		s.say("Ana likes and boosts his reply; the AppView counts 1 like and 1 repost.")
	}
	return err
}

// nothingCrosses plays what must not cross, and says the reason that the bridge gives for each.
func (s *Story) nothingCrosses(ctx context.Context) error {
	if _, err := s.ana.Post(ctx, activitypubtest.Note{Content: "<p>Key is under the third pot</p>", Visibility: activitypubtest.Followers}); err != nil {
		return err
	}
	if err := s.dropped(ctx, "Ana writes for her followers only: nothing crosses", "Create", ""); err != nil {
		return err
	}
	if _, err := s.cleo.Post(ctx, activitypubtest.Note{Content: "<p>Which door, please?</p>", InReplyTo: s.benNote(), Mentions: []string{s.benCopy}}); err != nil {
		return err
	}
	if err := s.dropped(ctx, "Cleo, who did not join, answers Ben: nothing crosses", "Create", "author_not_joined"); err != nil {
		return err
	}
	door, err := s.ana.Post(ctx, activitypubtest.Note{
		Content:  fmt.Sprintf(`<p><a href="%s" class="u-url mention">@cleo</a> the green one!</p>`, s.cleo.ID),
		Mentions: []string{s.cleo.ID}, InReplyTo: s.soup})
	if err != nil {
		return err
	}
	s.door = door.ID
	found, err := s.view.Find(ctx, s.anaCopy, "the green one")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(found.Record.Text, "@cleo the") || len(found.Record.Facets) > 0 {
		return fmt.Errorf("Cleo's name left as %q with %d facets", found.Record.Text, len(found.Record.Facets))
	}
	s.say("Ana mentions Cleo: her name leaves bare, without link or domain: %q", found.Record.Text)
	return nil
}

// benNote is the id of Ben's reply on the fediverse.
func (s *Story) benNote() string {
	for _, r := range s.w.Fedi.Inbox() {
		if r.Type == "Create" && r.Actor == s.benCopy {
			object, _ := r.Activity["object"].(map[string]any)
			id, _ := object["id"].(string)
			return id
		}
	}
	return ""
}

func (s *Story) dropped(ctx context.Context, what, kind, reason string) error {
	why, err := s.reason(ctx, func(o bridge.Outcome) bool { return o.Kind == kind && (reason == "" || o.Reason == reason) })
	if err == nil {
		s.say("%s (%s).", what, why)
	}
	return err
}

func (s *Story) editAndDelete(ctx context.Context) error {
	if err := s.ana.Edit(ctx, s.door, "<p>the green one, ring twice</p>"); err != nil {
		return err
	}
	if _, err := s.view.Find(ctx, s.anaCopy, "ring twice"); err != nil {
		return err
	}
	s.say("Ana edits a post; the copy follows.")
	if err := s.ana.Delete(ctx, s.door); err != nil {
		return err
	}
	err := Eventually(ctx, "the deleted post gone from the AppView", func(ctx context.Context) error {
		posts, err := s.view.Feed(ctx, s.anaCopy)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(posts, func(p Post) bool { return strings.Contains(p.Record.Text, "ring twice") }) {
			return errors.New("still there")
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.say("Ana deletes it; the copy is gone.")
	return s.benDeletes(ctx)
}

func (s *Story) benDeletes(ctx context.Context) error {
	note := s.benNote()
	posts, err := s.view.Feed(ctx, string(s.ben.DID))
	if err != nil {
		return err
	}
	for _, p := range posts {
		if strings.Contains(p.Record.Text, "On my way") {
			if err := s.w.AT.PDS.Delete(p.URI); err != nil {
				return err
			}
		}
	}
	if _, err := s.wait(ctx, "Delete", s.benCopy, note); err != nil {
		return err
	}
	s.say("Ben deletes his reply; Ana's server gets the Delete.")
	return nil
}

// anaLeaves blocks the bridge account and looks for what is left.
func (s *Story) anaLeaves(ctx context.Context) error {
	bot, _, _, err := s.bot(ctx)
	if err != nil {
		return err
	}
	if _, err := s.ana.Block(ctx, bot); err != nil {
		return err
	}
	s.say("Ana blocks the bridge account. That is one of six ways out; no reason is asked.")
	err = Eventually(ctx, "Ana's copy gone from the AppView", func(ctx context.Context) error {
		if p, err := s.view.Profile(ctx, s.anaCopy); err == nil {
			return fmt.Errorf("@%s is still shown", p.Handle)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.say("Her profile and posts are gone from the AppView.")
	if err := s.recordsGone(ctx); err != nil {
		return err
	}
	s.say("The bridge holds none of her records any more, and her repo says: deleted.")
	return nil
}

func (s *Story) recordsGone(ctx context.Context) error {
	return Eventually(ctx, "Ana's repo erased", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.w.URL+"/xrpc/com.atproto.sync.getRepo?did="+s.anaCopy, nil)
		if err != nil {
			return err
		}
		resp, err := s.http.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // only the status matters
		if resp.StatusCode == http.StatusOK {
			return errors.New("the repo is still served")
		}
		var status struct {
			Active bool
			Status string
		}
		if err := s.get(ctx, s.w.URL+"/xrpc/com.atproto.sync.getRepoStatus?did="+s.anaCopy, &status); err != nil {
			return err
		}
		if status.Active || status.Status != "deleted" {
			return fmt.Errorf("the repo's status is %q", status.Status)
		}
		return nil
	})
}
