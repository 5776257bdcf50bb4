package web

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// facts are on the transparency page (R44). Members, and servers that block or deny, are not.
type facts struct {
	Version, Verifier, Checkpoint string
	Members                       string
	Recipients                    []string
	Notices                       []consent.Notice
	Retention                     []consent.Retention
	Halted                        bool
}

// roundDown hides small numbers: down to tens, and nothing under twenty.
func roundDown(n int64) string {
	if n < 20 {
		return "< 20"
	}
	return fmt.Sprint(n / 10 * 10)
}

func (p *Pages) getTransparency(c echo.Context) error {
	v := p.view(c)
	v.Facts = facts{Version: p.Version, Verifier: p.Verifier, Recipients: p.Recipients, Retention: consent.RetentionTable()}
	for _, s := range []string{"https://", "did:"} {
		v.Facts.Notices = append(v.Facts.Notices, p.Desk.Notice(identity.Subject(s), v.Lang, nil), p.Desk.FormNotice(identity.Subject(s), v.Lang, nil))
	}
	err := p.Store.View(c.Request().Context(), func(tx bridge.Tx) error {
		counts, err := tx.ConsentCounts()
		if err != nil {
			return err
		}
		v.Facts.Members = roundDown(counts[consent.Granted])
		halted, err := p.Desk.Halted(tx)
		if err != nil {
			return err
		}
		v.Facts.Halted = halted != ""
		v.Facts.Checkpoint, err = p.Desk.PublishedCheckpoint(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading what is public: %w", err)
	}
	return p.render(c, http.StatusOK, "transparency", v)
}

// getRetention is the table for programs.
func (p *Pages) getRetention(c echo.Context) error {
	return c.JSONPretty(http.StatusOK, map[string]any{"version": 1, "classes": consent.RetentionTable()}, " ")
}
