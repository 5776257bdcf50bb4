package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// getJoin shows what one agrees to, and the ways to say yes.
func (p *Pages) getJoin(c echo.Context) error {
	v := p.view(c)
	s := identity.Subject("https://")
	if c.QueryParam("from") == "bluesky" {
		s = "did:"
	}
	v.Notice = p.Desk.FormNotice(s, v.Lang, nil)
	return p.render(c, http.StatusOK, "join", v)
}

// shown is how many lines of what went where a page holds.
const shown = 50

func (p *Pages) getMe(c echo.Context) error {
	v, me := p.view(c), who(c)
	err := p.Store.View(c.Request().Context(), func(tx bridge.Tx) (err error) {
		if v.State, err = p.Desk.History(tx, me.Subject); err != nil {
			return err
		}
		if acc := subjectAccount(tx, me.Subject); acc != nil {
			v.Copy = p.Bridge.CopyName(acc)
		}
		list, err := tx.Outcomes(me.Subject, shown)
		v.Rows = v.rows(list)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading somebody's page: %w", err)
	}
	return p.render(c, http.StatusOK, "me", v)
}

// getAgree shows the whole text and every scope.
func (p *Pages) getAgree(c echo.Context) error {
	v, me := p.view(c), who(c)
	signals, err := p.Bridge.Visit(c.Request().Context(), me.Subject)
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.profile")
	}
	err = p.Store.Update(c.Request().Context(), func(tx bridge.Tx) (err error) {
		if v.State, err = p.Desk.History(tx, me.Subject); err != nil {
			return err
		}
		v.Notice, err = p.Desk.ShowForm(tx, me.Subject, v.Lang, signals.Needs)
		return err
	})
	if err != nil {
		return fmt.Errorf("showing what one agrees to: %w", err)
	}
	on := v.State.Scopes
	if len(on) == 0 {
		on = consent.MinimalScopes()
	}
	v.Joined = v.Is("granted")
	v.Groups, v.Options, v.Lives = v.groups(on), v.options(v.State.Options), []int{365, 90, 30}
	return p.render(c, http.StatusOK, "agree", v)
}

// formEvidence is E1: who signed in, and the form as it was sent.
func formEvidence(c echo.Context, me *session, now time.Time) (consent.Evidence, error) {
	form, err := c.FormParams()
	if err != nil {
		return consent.Evidence{}, fmt.Errorf("reading a form: %w", err)
	}
	form.Del("token")
	raw, err := json.Marshal(map[string]any{"signed_in": me.Subject, "path": c.Request().URL.Path, "form": form, "at": now.UTC().Format(time.RFC3339)})
	return consent.Evidence{Type: consent.E1, Raw: raw}, err
}

// postAgree grants what was ticked, or changes it.
func (p *Pages) postAgree(c echo.Context) error {
	me := who(c)
	e, err := formEvidence(c, me, p.Now())
	if err != nil {
		return err
	}
	signals, err := p.Bridge.Visit(c.Request().Context(), me.Subject)
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.profile")
	}
	scopes, options, life, err := choices(c)
	if err != nil {
		return p.fail(c, http.StatusBadRequest, "page.error.form")
	}
	return p.change(c, func(tx bridge.Tx) (consent.Change, error) {
		h, err := p.Desk.History(tx, me.Subject)
		if err != nil {
			return consent.Change{}, err
		}
		if h.State == consent.Granted {
			return p.Desk.Choose(tx, me.Subject, scopes, options, e)
		}
		return p.Desk.Confirm(tx, consent.Confirmation{Subject: me.Subject, Evidence: e, Scopes: scopes, Options: options, Lang: p.lang(c),
			TextHash: c.FormValue("text"), Life: life, Signals: signals})
	})
}

func choices(c echo.Context) ([]consent.Scope, consent.Options, time.Duration, error) {
	form, err := c.FormParams()
	if err != nil {
		return nil, nil, 0, err
	}
	scopes := []consent.Scope{} // not nil: nothing ticked is nothing granted
	for _, s := range form["scope"] {
		sc, err := consent.ParseScope(s)
		if err != nil {
			return nil, nil, 0, err
		}
		scopes = append(scopes, sc)
	}
	options := consent.Options{}
	for _, o := range consent.OptionList() {
		if v := c.FormValue(string(o.Name)); v != "" && v != o.Values[0] {
			options[o.Name] = v
		}
	}
	days := 365
	if s := c.FormValue("life"); s != "" {
		if days, err = strconv.Atoi(s); err != nil {
			return nil, nil, 0, err
		}
	}
	life := time.Duration(days) * 24 * time.Hour
	if !slices.Contains(consent.Lives(), life) {
		return nil, nil, 0, errors.New("no such life")
	}
	return scopes, options, life, options.Check()
}

// change runs one act at the desk and takes it into effect, in one transaction.
func (p *Pages) change(c echo.Context, act func(bridge.Tx) (consent.Change, error)) error {
	if err := p.apply(c.Request().Context(), act); errors.Is(err, consent.ErrDenied) {
		return p.fail(c, http.StatusConflict, "refused."+string(consent.ReasonOf(err)))
	} else if err != nil {
		return fmt.Errorf("changing a consent: %w", err)
	}
	return c.Redirect(http.StatusSeeOther, p.withLang(c, "/me"))
}

func (p *Pages) apply(ctx context.Context, act func(bridge.Tx) (consent.Change, error)) error {
	return p.Store.Update(ctx, func(tx bridge.Tx) error {
		ch, err := act(tx)
		if err != nil {
			return err
		}
		return p.Bridge.Apply(tx, ch.Subject, ch)
	})
}

// postAct is one button of my bridge.
func (p *Pages) postAct(act string) echo.HandlerFunc {
	return func(c echo.Context) error {
		me := who(c)
		if act == "signout" {
			p.drop(c, sessionCookie, http.SameSiteStrictMode)
			return c.Redirect(http.StatusSeeOther, p.withLang(c, "/"))
		}
		e, err := formEvidence(c, me, p.Now())
		if err != nil {
			return err
		}
		return p.change(c, func(tx bridge.Tx) (consent.Change, error) { return p.act(tx, c, act, me.Subject, e) })
	}
}

func (p *Pages) act(tx bridge.Tx, c echo.Context, act string, s identity.Subject, e consent.Evidence) (consent.Change, error) {
	switch act {
	case "pause":
		return p.Desk.Pause(tx, s, e)
	case "resume":
		return p.Desk.Resume(tx, s, e)
	case "panic":
		return p.Desk.Panic(tx, s, e, "self")
	case "erase-later":
		days, err := strconv.Atoi(c.FormValue("days"))
		if err != nil {
			return consent.Change{}, &consent.DeniedError{Reason: consent.ReasonWait}
		}
		return p.Desk.EraseIn(tx, s, days, e)
	}
	return p.Desk.Withdraw(tx, s, e)
}

func (p *Pages) getLeave(c echo.Context) error {
	return p.render(c, http.StatusOK, "leave", p.view(c))
}

// getLeaveLink shows one button to whoever holds the link of a receipt; it does not tell whose it is (R103).
func (p *Pages) getLeaveLink(c echo.Context) error {
	v := p.view(c)
	v.Token = c.Param("token")
	return p.render(c, http.StatusOK, "leavelink", v)
}

// postLeaveLink withdraws. It answers the same whether the link was good or not.
func (p *Pages) postLeaveLink(c echo.Context) error {
	if crossSite(c.Request()) {
		return p.fail(c, http.StatusForbidden, "page.error.form")
	}
	err := p.apply(c.Request().Context(), func(tx bridge.Tx) (consent.Change, error) {
		s, err := p.Desk.OpenLink(tx, c.Param("token"), consent.LinkWithdraw)
		if err != nil {
			return consent.Change{}, err
		}
		return p.Desk.Withdraw(tx, s, consent.Evidence{Type: consent.E4, Raw: []byte("the link of a receipt")})
	})
	if err != nil && !errors.Is(err, consent.ErrNone) {
		return fmt.Errorf("leaving by link: %w", err)
	}
	v := p.view(c)
	return p.render(c, http.StatusOK, "left", v)
}

// getReceipt gives the file for the last entry.
func (p *Pages) getReceipt(c echo.Context) error {
	var r consent.Receipt
	err := p.Store.Update(c.Request().Context(), func(tx bridge.Tx) (err error) {
		r, err = p.Desk.Receipt(tx, who(c).Subject)
		return err
	})
	if errors.Is(err, consent.ErrDenied) {
		return p.fail(c, http.StatusNotFound, "page.error.noreceipt")
	}
	if err != nil {
		return fmt.Errorf("making a receipt: %w", err)
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="receipt.json"`)
	return c.Blob(http.StatusOK, "application/json", r.JSON)
}

// postVerify checks a receipt that somebody uploads or pastes.
func (p *Pages) postVerify(c echo.Context) error {
	v := p.view(c)
	file, err := uploaded(c)
	if err == nil {
		var ok consent.Verified
		if ok, err = consent.VerifyReceipt(file, p.Verifier); err == nil {
			v.Verified = &ok
		}
	}
	if err != nil {
		v.Bad = v.T("page.verify.bad")
	}
	return p.render(c, http.StatusOK, "verify", v)
}

func uploaded(c echo.Context) ([]byte, error) {
	h, err := c.FormFile("file")
	if err != nil || h.Size == 0 {
		return nil, errors.New("no file")
	}
	f, err := h.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxForm))
}
