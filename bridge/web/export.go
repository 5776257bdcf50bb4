package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/identity/consent"
)

// export is everything that is kept about one person, but for keys.
type export struct {
	Made     time.Time        `json:"made"`
	Subject  string           `json:"subject"`
	Account  *exportAccount   `json:"account,omitempty"`
	Consent  consent.History  `json:"consent"`
	Receipt  json.RawMessage  `json:"receipt,omitempty"`
	Objects  []exportObject   `json:"objects"`
	Outcomes []bridge.Outcome `json:"outcomes"`
}

type exportAccount struct {
	Actor, DID, Handle, Acct, URL, Status string
	Created                               time.Time
}

type exportObject struct {
	Kind, ActivityPub, ATURI, CID string
	Ledger                        int64
	Created                       time.Time
	Document                      json.RawMessage `json:",omitempty"`
}

// maxExport bounds one file; whoever has more asks the operator for the repo as a CAR.
const maxExport = 20000

// getExport gives everything as one file.
func (p *Pages) getExport(c echo.Context) error {
	me := who(c)
	out := export{Made: p.Now().UTC(), Subject: string(me.Subject), Objects: []exportObject{}}
	err := p.Store.Update(c.Request().Context(), func(tx bridge.Tx) (err error) {
		if out.Consent, err = p.Desk.History(tx, me.Subject); err != nil {
			return err
		}
		if r, err := p.Desk.Receipt(tx, me.Subject); err == nil {
			out.Receipt = r.JSON
		}
		if acc := subjectAccount(tx, me.Subject); acc != nil {
			out.Account = &exportAccount{string(acc.Actor), string(acc.DID), string(acc.Handle), acc.Acct, acc.URL, string(acc.Status), acc.Created}
		}
		if out.Objects, err = exportObjects(tx, me); err != nil {
			return err
		}
		out.Outcomes, err = tx.Outcomes(me.Subject, maxExport)
		return err
	})
	if err != nil {
		return fmt.Errorf("making an export: %w", err)
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="footbridge-export.json"`)
	return c.JSONPretty(http.StatusOK, out, " ")
}

func exportObjects(tx bridge.Tx, me *session) ([]exportObject, error) {
	list, err := tx.ObjectsOf(me.Subject, time.Time{}, maxExport)
	if err != nil {
		return nil, err
	}
	out := []exportObject{}
	for _, o := range list {
		x := exportObject{Kind: o.Kind, ActivityPub: o.APID, ATURI: o.URI, CID: o.CID, Ledger: o.Ledger, Created: o.Created}
		if json.Valid(o.Body) {
			x.Document = o.Body
		}
		out = append(out, x)
	}
	return out, nil
}
