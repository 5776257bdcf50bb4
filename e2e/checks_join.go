package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	codePattern   = regexp.MustCompile(`yes ([0-9A-Z]{4,})`)
	handlePattern = regexp.MustCompile(`@([a-z0-9.-]+\.ap\.bridge\.test)`)
)

// readBot reads where the bridge's accounts are.
func (t *tale) readBot(ctx context.Context) error {
	var doc struct {
		Bot     struct{ Actor, DID, Handle string }
		Consent struct{ Collection string }
	}
	err := t.w.call(ctx, http.MethodGet, bridgeURL+"/.well-known/footbridge.json", nil, &doc)
	t.bot, t.botDID, t.collection = doc.Bot.Actor, doc.Bot.DID, doc.Consent.Collection
	if err != nil || t.botDID == "" {
		return errors.Join(err, errors.New("the bridge does not say where its bot is"))
	}
	return eventually(ctx, patience, func(ctx context.Context) error {
		p, err := t.profile(ctx, t.botDID)
		if err == nil && p.Handle != doc.Bot.Handle {
			err = fmt.Errorf("the AppView shows the bot as @%s, not @%s", p.Handle, doc.Bot.Handle)
		}
		return err
	})
}

type profile struct{ DID, Handle, DisplayName, Description string }

func (t *tale) profile(ctx context.Context, actor string) (p profile, err error) {
	err = t.w.view(ctx, "app.bsky.actor.getProfile", url.Values{"actor": {actor}}, &p)
	return p, err
}

// joinFromFediverse: follow, notice, confirm; the AppView then serves the copy with a valid handle.
func (t *tale) joinFromFediverse(ctx context.Context) error {
	if err := t.readBot(ctx); err != nil {
		return err
	}
	var err error
	if t.fredCopy, err = t.join(ctx, t.a, "fred", "yes"); err != nil {
		return err
	}
	if t.fridaCopy, err = t.join(ctx, t.b, "frida", "yes all"); err != nil {
		return err
	}
	return nil
}

// join brings somebody of a Fedify server in and returns the DID of their copy.
func (t *tale) join(ctx context.Context, f *fedi, name, answer string) (string, error) {
	if _, err := f.send(ctx, name, object{"type": "Follow", "object": t.bot}, t.bot); err != nil {
		return "", err
	}
	note, err := f.find(ctx, "the notice to "+name, func(r received) bool {
		return r.Type == "Create" && r.Actor == t.bot && strings.Contains(r.raw(), f.actor(name)) && codePattern.MatchString(r.raw())
	})
	if err != nil {
		return "", err
	}
	code := codePattern.FindStringSubmatch(note.raw())[1]
	if _, err := f.note(ctx, name, noteOptions{content: "<p>" + answer + " " + code + "</p>", to: []string{t.bot}, recipients: []string{t.bot}, noFollowers: true,
		tags: []object{{"type": "Mention", "href": t.bot, "name": "@bridge@bridge.test"}}}); err != nil {
		return "", err
	}
	if _, err := f.find(ctx, "the Accept to "+name, func(r received) bool {
		return r.Type == "Accept" && r.Actor == t.bot && strings.Contains(r.raw(), f.actor(name))
	}); err != nil {
		return "", err
	}
	receipt, err := f.find(ctx, "the receipt to "+name, func(r received) bool {
		return r.Type == "Create" && r.Actor == t.bot && strings.Contains(r.raw(), f.actor(name)) && handlePattern.MatchString(r.raw())
	})
	if err != nil {
		return "", err
	}
	return t.copyOf(ctx, f, name, handlePattern.FindStringSubmatch(receipt.raw())[1])
}

// copyOf waits for the copy on the AppView and for the bot's follow, without which no post would come.
func (t *tale) copyOf(ctx context.Context, f *fedi, name, handle string) (string, error) {
	var p profile
	err := eventually(ctx, patience, func(ctx context.Context) (err error) {
		if p, err = t.profile(ctx, handle); err != nil {
			return fmt.Errorf("the AppView does not show @%s: %w", handle, err)
		}
		if p.Handle != handle {
			return fmt.Errorf("the handle is %q there", p.Handle)
		}
		if !strings.Contains(p.DisplayName, "of Fedify") || !strings.Contains(p.Description, name+" speaking") {
			return fmt.Errorf("the profile is %+v", p)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return p.DID, eventually(ctx, patience, func(ctx context.Context) error {
		var followers []string
		if err := t.w.call(ctx, http.MethodGet, f.origin+"/_/followers?as="+name, nil, &followers); err != nil {
			return err
		}
		if !strings.Contains(strings.Join(followers, " "), t.bot) {
			return errors.New("the bot does not follow " + name)
		}
		return nil
	})
}

// joinFromATmosphere: follow record, confirmation by record; Fedify finds the copy by WebFinger, follows it, and receives a
// signed Accept.
func (t *tale) joinFromATmosphere(ctx context.Context) error {
	if err := needed("the bot", t.botDID != ""); err != nil {
		return err
	}
	var err error
	if t.ben, err = t.w.newAccount(ctx, "ben"); err != nil {
		return err
	}
	if t.nina, err = t.w.newAccount(ctx, "nina"); err != nil {
		return err
	}
	if _, err := t.ben.put(ctx, "app.bsky.actor.profile", "self", object{"displayName": "Ben of the PDS", "description": "Drives the van"}); err != nil {
		return err
	}
	if err := t.say(ctx, t.ben, "yes all"); err != nil {
		return err
	}
	t.benCopy = bridgeURL + "/ap/" + t.ben.did
	err = eventually(ctx, patience, func(ctx context.Context) error {
		o, err := t.a.lookup(ctx, "fred", "acct:"+t.ben.handle+"@bridge.test")
		if err == nil && o["name"] != "Ben of the PDS" {
			err = fmt.Errorf("Fedify sees %v", o["name"])
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.followBen(ctx, t.a, "fred")
}

// say follows the bot and answers by a record.
func (t *tale) say(ctx context.Context, a *account, answer string) error {
	if _, err := a.create(ctx, "app.bsky.graph.follow", object{"subject": t.botDID}); err != nil {
		return err
	}
	var notice struct{ SHA256 string }
	if err := t.w.call(ctx, http.MethodGet, bridgeURL+"/join/at.json", nil, &notice); err != nil {
		return err
	}
	_, err := a.put(ctx, t.collection, "self", object{"answer": answer, "text": notice.SHA256})
	return err
}

func (t *tale) followBen(ctx context.Context, f *fedi, name string) error {
	id, err := f.send(ctx, name, object{"type": "Follow", "object": t.benCopy}, t.benCopy)
	if err != nil {
		return err
	}
	_, err = f.find(ctx, "the Accept of "+name+"'s follow of Ben", func(r received) bool {
		return r.Type == "Accept" && r.Actor == t.benCopy && strings.Contains(r.raw(), id)
	})
	return err
}
