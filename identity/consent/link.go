package consent

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"footbridge/identity"
)

// Purposes of links.
const (
	LinkWithdraw = "withdraw"
	LinkPanic    = "panic"
)

// linkLife outlives a grant, so that the link in a receipt works as long as there is something to withdraw.
const linkLife = DefaultLife + eraseAfterEnd

// Link makes a bearer token for one purpose. Only its hash is kept (R103).
func (d *Desk) Link(tx Tx, s identity.Subject, purpose string, life time.Duration) (string, error) {
	var b [24]byte
	if _, err := io.ReadFull(d.c.Rand, b[:]); err != nil {
		return "", fmt.Errorf("making a link: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, tx.PutConsentLink(&Link{Hash: hexSum([]byte(token)), Subject: s, Purpose: purpose, Expires: tx.Now().Add(life)})
}

// OpenLink finds whose link it is; every failure is the same ErrNone.
func (d *Desk) OpenLink(tx Tx, token, purpose string) (identity.Subject, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(24) {
		return "", ErrNone
	}
	l, err := tx.ConsentLink(hexSum([]byte(token)))
	if err != nil {
		return "", err
	}
	if l.Purpose != purpose || !tx.Now().Before(l.Expires) {
		return "", ErrNone
	}
	return l.Subject, nil
}
