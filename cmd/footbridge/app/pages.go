package app

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// registerPages adds what people read, and the same notice for programs.
func (a *App) registerPages(e *echo.Echo) error {
	e.GET("/join/at.json", a.getNotice)
	return nil
}

// atNewcomer stands for somebody of the ATmosphere whose DID is not known yet: the notice differs by network only.
const atNewcomer = identity.Subject("did:")

// getNotice gives the words that a consent record must name by their hash.
func (a *App) getNotice(c echo.Context) error {
	var n consent.Notice
	err := store.Room[bridge.Tx]{DB: a.DB}.Update(c.Request().Context(), func(tx bridge.Tx) (err error) {
		n, err = a.Desk.Show(tx, atNewcomer, c.QueryParam("lang"), nil)
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"text": n.Text, "sha256": n.Hash, "lang": n.Lang,
		"collection": a.Bridge.ConsentCollection(), "rkey": "self", "answers": []string{"yes", "yes all"}})
}
