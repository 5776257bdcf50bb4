package pds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"
)

// credentials are what the DID document should say of an account that lives here.
func (h *Host) credentials(tx Tx, r *Repo) (identity.Operation, error) {
	key, err := h.key(tx, r.DID)
	if err != nil {
		return identity.Operation{}, err
	}
	pub, err := key.PublicKey()
	if err != nil {
		return identity.Operation{}, err
	}
	op := identity.Operation{
		VerificationMethods: map[string]string{"atproto": pub.DIDKey()}, AlsoKnownAs: []string{"at://" + r.Handle.String()},
		Services: map[string]identity.Service{"atproto_pds": {Type: "AtprotoPersonalDataServer", Endpoint: h.URL()}},
	}
	rotation, err := h.o.Keys.Key(tx, r.DID.String(), identity.KeyRotation)
	if err != nil {
		return identity.Operation{}, fmt.Errorf("opening the rotation key: %w", err)
	}
	if pub, err = rotation.PublicKey(); err != nil {
		return identity.Operation{}, err
	}
	op.RotationKeys = []string{pub.DIDKey()}
	return op, nil
}

func (h *Host) recommendedCredentials(c echo.Context, s session) error {
	return h.owned(c, s, func(tx Tx, r *Repo) error {
		op, err := h.credentials(tx, r)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{"rotationKeys": op.RotationKeys, "alsoKnownAs": op.AlsoKnownAs,
			"verificationMethods": op.VerificationMethods, "services": op.Services})
	})
}

// lastOp reads the newest operation of a DID from the directory.
func (h *Host) lastOp(ctx context.Context, did syntax.DID) (identity.Operation, error) {
	log, err := h.o.Migration.PLC.Log(ctx, did)
	if err != nil || len(log) == 0 {
		return identity.Operation{}, fmt.Errorf("reading the DID's log: %w", errors.Join(err, errors.New("no operation")))
	}
	return identity.ParseOperation(log[len(log)-1])
}

// signPLCOperation signs what the owner wants their DID document to be with the bridge's rotation key. It sends nothing:
// that is for the owner's tool and their new host.
func (h *Host) signPLCOperation(c echo.Context, s session) error {
	var in struct {
		Token               string
		RotationKeys        []string
		AlsoKnownAs         []string
		VerificationMethods map[string]string
		Services            map[string]identity.Service
	}
	if err := readJSON(c, 16384, &in); err != nil {
		return err
	}
	ctx := c.Request().Context()
	var rotation *identity.SigningKey
	err := h.owned(c, s, func(tx Tx, r *Repo) error {
		if ok, err := h.codeFits(tx, r, in.Token); err != nil || !ok {
			return errors.Join(err, failure("InvalidToken", "The token is the code from your page, and it has not expired"))
		}
		var err error
		rotation, err = h.o.Keys.Key(tx, r.DID.String(), identity.KeyRotation)
		return err
	})
	if err != nil {
		return err
	}
	last, err := h.lastOp(ctx, s.did)
	if err != nil {
		return err
	}
	op, err := last.Next()
	if err != nil {
		return invalid("%v", err)
	}
	if in.RotationKeys != nil {
		op.RotationKeys = in.RotationKeys
	}
	if in.AlsoKnownAs != nil {
		op.AlsoKnownAs = in.AlsoKnownAs
	}
	if in.VerificationMethods != nil {
		op.VerificationMethods = in.VerificationMethods
	}
	if in.Services != nil {
		op.Services = in.Services
	}
	if err := op.Sign(rotation); err != nil {
		return invalid("%v", err)
	}
	return c.JSON(http.StatusOK, map[string]any{"operation": op})
}

// submitPLCOperation sends an operation that makes the DID live here.
func (h *Host) submitPLCOperation(c echo.Context, s session) error {
	var in struct{ Operation json.RawMessage }
	if err := readJSON(c, 16384, &in); err != nil {
		return err
	}
	op, err := identity.ParseOperation(in.Operation)
	if err != nil {
		return invalid("%v", err)
	}
	ctx := c.Request().Context()
	var permit consent.Permit
	err = h.owned(c, s, func(tx Tx, r *Repo) error {
		want, err := h.credentials(tx, r)
		if err != nil {
			return err
		}
		switch {
		case !slices.Contains(op.RotationKeys, want.RotationKeys[0]):
			return invalid("Rotation keys do not include server's rotation key")
		case op.Services["atproto_pds"] != want.Services["atproto_pds"]:
			return invalid("Incorrect type or endpoint on atproto_pds service")
		case op.VerificationMethods["atproto"] != want.VerificationMethods["atproto"]:
			return invalid("Incorrect signing key")
		case len(op.AlsoKnownAs) == 0 || op.AlsoKnownAs[0] != want.AlsoKnownAs[0]:
			return invalid("Incorrect handle in alsoKnownAs")
		}
		permit, err = h.o.Migration.Permit(ctx, tx, r.Owner)
		return err
	})
	if err != nil {
		return err
	}
	if err := h.o.Migration.PLC.Submit(ctx, permit, s.did, in.Operation); err != nil {
		return invalid("The directory refused the operation")
	}
	err = h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(s.did)
		if err != nil || r.Status != StatusActive {
			return err
		}
		tx.AfterCommit(h.wake.wake)
		_, err = h.emitIdentity(tx, r)
		return err
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}
