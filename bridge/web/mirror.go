package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// tryView is a dry run: what was pasted, and what would become of it.
type tryView struct {
	As, Text string
	// HTML tells whether that may be pasted: people of the AT side write none.
	HTML bool
	// Done is set when something was pasted.
	Done bool
	// Why is why nothing would come of it; Off are scopes that are not given.
	Why    string
	Off    []string
	Parts  []bridge.Shown
	Losses []lossView
}

type lossView struct{ Words, Detail string }

// pairView is one's own post beside its copy.
type pairView struct {
	Original *bridge.Shown
	Link     string
	Copy     []bridge.Shown
	Losses   []lossView
}

// postRow is one line of the list to choose from.
type postRow struct{ When, Kind, Link string }

// passed is what the templates for posts and losses see.
type passed struct {
	View   *view
	Shown  *bridge.Shown
	Losses []lossView
}

// Pass hands a post, or losses, to a template together with the words.
func (v *view) Pass(shown any, losses []lossView) passed {
	out := passed{View: v, Losses: losses}
	switch s := shown.(type) {
	case bridge.Shown:
		out.Shown = &s
	case *bridge.Shown:
		out.Shown = s
	}
	return out
}

// EmbedWords names what is embedded.
func (v *view) EmbedWords(kind string) string { return v.T("page.embed." + kind) }

// PostLink leads to a post beside its copy.
func (v *view) PostLink(id string) string {
	q := url.Values{"id": {id}}
	if v.ask != "" {
		q.Set("lang", v.ask)
	}
	return "/me/post?" + q.Encode()
}

// member finds the account of who is signed in, and where they stand.
func (p *Pages) member(c echo.Context, v *view) (acc *identity.Account, err error) {
	err = p.Store.View(c.Request().Context(), func(tx bridge.Tx) (err error) {
		acc = subjectAccount(tx, who(c).Subject)
		v.State, err = p.Desk.History(tx, who(c).Subject)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up who is signed in: %w", err)
	}
	return acc, nil
}

// getTry shows an empty dry run.
func (p *Pages) getTry(c echo.Context) error {
	v := p.view(c)
	acc, err := p.member(c, v)
	if err != nil {
		return err
	}
	if acc == nil {
		return p.fail(c, http.StatusNotFound, "page.error.profile")
	}
	v.Try = &tryView{As: bridge.PastedText, HTML: acc.Native == identity.ActivityPub}
	return p.render(c, http.StatusOK, "try", v)
}

// postTry shows what would become of what was pasted. Nothing of it is kept.
func (p *Pages) postTry(c echo.Context) error {
	v := p.view(c)
	acc, err := p.member(c, v)
	if err != nil {
		return err
	}
	if acc == nil {
		return p.fail(c, http.StatusNotFound, "page.error.profile")
	}
	t := &tryView{As: c.FormValue("as"), Text: c.FormValue("pasted"), HTML: acc.Native == identity.ActivityPub, Done: true}
	tried, err := p.Bridge.Try(c.Request().Context(), acc, bridge.Pasted{As: t.As, Text: t.Text})
	if err != nil {
		return fmt.Errorf("making a dry run: %w", err)
	}
	if tried.Dropped != translate.None {
		t.Why = tried.Dropped.Text()
	}
	for _, s := range tried.Off {
		t.Off = append(t.Off, v.T("scope."+string(s)))
	}
	t.Parts, t.Losses = tried.Parts, lossViews(tried.Losses)
	v.Try, v.Joined = t, v.State.State == consent.Granted
	return p.render(c, http.StatusOK, "try", v)
}

func lossViews(losses []translate.Loss) []lossView {
	var out []lossView
	for _, l := range losses {
		if what, _ := l.Kind.Describe(); what != "" {
			out = append(out, lossView{what, l.Detail})
		}
	}
	return out
}

// getPost lists what was carried, or shows one thing of it beside its copy. The original is fetched now, because the person
// asks, and is not kept.
func (p *Pages) getPost(c echo.Context) error {
	v, id := p.view(c), c.QueryParam("id")
	acc, err := p.member(c, v)
	if err != nil {
		return err
	}
	if id == "" {
		return p.listPosts(c, v)
	}
	if acc == nil || len(id) > 4096 {
		return p.fail(c, http.StatusNotFound, "page.post.none")
	}
	if !p.throttle.allow("post of "+string(acc.Subject()), p.Now()) {
		return p.fail(c, http.StatusTooManyRequests, "page.error.throttle")
	}
	pair, err := p.Bridge.Compare(c.Request().Context(), acc, id)
	if errors.Is(err, bridge.ErrNoObject) {
		return p.fail(c, http.StatusNotFound, "page.post.none")
	}
	if err != nil {
		return fmt.Errorf("putting a post beside its copy: %w", err)
	}
	v.Pair = &pairView{Original: pair.Original, Link: nativeLink(pair.Object), Copy: pair.Copy}
	for _, k := range pair.Losses {
		v.Pair.Losses = append(v.Pair.Losses, lossViews([]translate.Loss{{Kind: k}})...)
	}
	return p.render(c, http.StatusOK, "post", v)
}

// nativeLink is the page of the original.
func nativeLink(o bridge.Object) string {
	link := o.APID
	if o.Native == identity.ATProto {
		link = translate.WebURL(o.URI)
	}
	if u, err := url.Parse(link); err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return link
}

// listPosts lists the newest things that have something to read in them.
func (p *Pages) listPosts(c echo.Context, v *view) error {
	err := p.Store.View(c.Request().Context(), func(tx bridge.Tx) error {
		list, err := tx.ObjectsOf(who(c).Subject, time.Time{}, 4*shown)
		for _, o := range list {
			if o.Part > 0 || len(v.Posts) == shown || o.Kind != "post" && o.Kind != "event" && o.Kind != "document" {
				continue
			}
			v.Posts = append(v.Posts, postRow{o.Created.UTC().Format("2006-01-02 15:04"), v.T("page.shown." + o.Kind), v.PostLink(o.APID)})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("listing what was carried: %w", err)
	}
	return p.render(c, http.StatusOK, "post", v)
}
