package pds

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"
)

// Migration lets accounts move here and away with the calls of the official account migration. Nobody logs in otherwise:
// a session opens only with a code that the owner was given on their page, and it is good for moving alone.
type Migration struct {
	// Secret signs sessions (identity.Keyring.Derive).
	Secret []byte
	// Identity resolves a DID freshly, past any cache.
	Identity func(context.Context, syntax.DID) (atproto.Identity, error)
	// PLC is the directory; atproto.PLC implements it.
	PLC PLC
	// Permit asks the gate for a publish permit of the owner (scope profile), in the transaction.
	Permit func(context.Context, Tx, identity.Subject) (consent.Permit, error)
	// Invite says whom an invite code is for, when somebody moves a DID here, and which handle of our zones is theirs (or
	// none). nil: nobody may.
	Invite func(ctx context.Context, tx Tx, code string, did syntax.DID) (identity.Subject, syntax.Handle, error)

	mu   sync.Mutex
	used map[string]time.Time // nonces of service tokens, until they expire
}

// PLC reads and writes the directory.
type PLC interface {
	Submit(ctx context.Context, permit consent.Permit, did syntax.DID, op json.RawMessage) error
	Log(ctx context.Context, did syntax.DID) ([]json.RawMessage, error)
}

const codeLife = 24 * time.Hour

// IssueCode makes the code with which the owner of a repo opens a session in their migration tool: it stands for password
// and for the PLC token. An earlier code is void. The caller has made sure that it talks to the owner.
func (h *Host) IssueCode(tx Tx, did syntax.DID) (string, error) {
	r, err := tx.Repo(did)
	if err != nil {
		return "", err
	}
	raw := make([]byte, 15)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("drawing a code: %w", err)
	}
	code := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
	sum := sha256.Sum256([]byte(code))
	return code, tx.RepoPutCode(r.ID, sum[:], h.now().Add(codeLife))
}

func (h *Host) codeFits(tx Tx, r *Repo, code string) (bool, error) {
	hash, end, err := tx.RepoCode(r.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(code))))
	return err == nil && h.now().Before(end) && subtle.ConstantTimeCompare(hash, sum[:]) == 1, err
}

func (h *Host) registerMigration(e *echo.Echo) {
	if h.o.Migration == nil {
		return
	}
	h.post(e, "com.atproto.server.createSession", 30, h.createSession)
	h.post(e, "com.atproto.server.refreshSession", 1, h.refreshSession)
	h.post(e, "com.atproto.server.deleteSession", 1, func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	h.get(e, "com.atproto.server.getSession", 1, h.asOwner(h.getSession))
	h.get(e, "com.atproto.server.getServiceAuth", 1, h.asOwner(h.getServiceAuth))
	h.get(e, "com.atproto.server.checkAccountStatus", 1, h.asOwner(h.checkAccountStatus))
	h.post(e, "com.atproto.server.createAccount", 30, h.createAccount)
	h.post(e, "com.atproto.server.activateAccount", 1, h.asOwner(h.activateAccount))
	h.post(e, "com.atproto.server.deactivateAccount", 1, h.asOwner(h.deactivateAccount))
	h.post(e, "com.atproto.repo.importRepo", 30, h.asOwner(h.importRepo))
	h.post(e, "com.atproto.repo.uploadBlob", 1, h.asOwner(h.uploadBlob))
	h.get(e, "com.atproto.repo.listMissingBlobs", 1, h.asOwner(h.listMissingBlobs))
	h.get(e, "com.atproto.identity.getRecommendedDidCredentials", 1, h.asOwner(h.recommendedCredentials))
	h.post(e, "com.atproto.identity.requestPlcOperationSignature", 1, h.asOwner(func(c echo.Context, _ session) error {
		return c.NoContent(http.StatusOK) // the code that opened the session is the token
	}))
	h.post(e, "com.atproto.identity.signPlcOperation", 10, h.asOwner(h.signPLCOperation))
	h.post(e, "com.atproto.identity.submitPlcOperation", 10, h.asOwner(h.submitPLCOperation))
	// Tools copy preferences; there are none here.
	h.get(e, "app.bsky.actor.getPreferences", 1, h.asOwner(func(c echo.Context, _ session) error {
		return c.JSON(http.StatusOK, map[string]any{"preferences": []any{}})
	}))
	h.post(e, "app.bsky.actor.putPreferences", 1, h.asOwner(func(c echo.Context, _ session) error { return c.NoContent(http.StatusOK) }))
}

func (h *Host) post(e *echo.Echo, nsid string, weight int, f echo.HandlerFunc) {
	e.POST("/xrpc/"+nsid, h.call(weight, f))
	h.only(e, "/xrpc/"+nsid, http.MethodGet)
}

// owned runs f over the owner's repo, whatever its status but deleted.
func (h *Host) owned(c echo.Context, s session, f func(tx Tx, r *Repo) error) error {
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		r, err := tx.Repo(s.did)
		if err != nil {
			return err
		}
		return f(tx, r)
	})
}

func (h *Host) createSession(c echo.Context) error {
	var in struct{ Identifier, Password string }
	if err := readJSON(c, 4096, &in); err != nil {
		return err
	}
	var r *Repo
	err := h.o.Store.View(c.Request().Context(), func(tx Tx) (err error) {
		if did, derr := syntax.ParseDID(in.Identifier); derr == nil {
			r, err = tx.Repo(did)
		} else if handle, herr := syntax.ParseHandle(strings.TrimPrefix(in.Identifier, "@")); herr == nil {
			r, err = tx.RepoByHandle(handle)
		} else {
			err = ErrNoRepo
		}
		if err != nil {
			return err
		}
		ok, err := h.codeFits(tx, r, in.Password)
		if err == nil && (!ok || r.Status == StatusDeleted) {
			err = ErrNoRepo
		}
		return err
	})
	if errors.Is(err, ErrNoRepo) {
		return &xrpcError{http.StatusUnauthorized, "AuthenticationRequired", "Invalid identifier or password"}
	}
	if err != nil {
		return err
	}
	return h.answerSession(c, r)
}

func (h *Host) answerSession(c echo.Context, r *Repo) error {
	return c.JSON(http.StatusOK, map[string]any{"did": r.DID, "handle": handleOrInvalid(r), "accessJwt": h.token(r.DID, scopeAccess, 2*time.Hour),
		"refreshJwt": h.token(r.DID, scopeRefresh, codeLife), "active": r.Status == StatusActive, "status": inactiveStatus(r)})
}

func handleOrInvalid(r *Repo) syntax.Handle {
	if r.Handle == "" {
		return syntax.HandleInvalid
	}
	return r.Handle
}

func inactiveStatus(r *Repo) any {
	if r.Status == StatusActive {
		return nil
	}
	return r.Status
}

func (h *Host) refreshSession(c echo.Context) error {
	did, err := h.bearer(c, scopeRefresh)
	if err != nil {
		return err
	}
	return h.owned(c, session{did: did}, func(_ Tx, r *Repo) error { return h.answerSession(c, r) })
}

func (h *Host) getSession(c echo.Context, s session) error {
	return h.owned(c, s, func(_ Tx, r *Repo) error {
		return c.JSON(http.StatusOK, map[string]any{"did": r.DID, "handle": handleOrInvalid(r), "active": r.Status == StatusActive, "status": inactiveStatus(r)})
	})
}

// createAccount makes an empty, deactivated repo for a DID that lives elsewhere; the service token proves who asks.
func (h *Host) createAccount(c echo.Context) error {
	var in struct{ DID, Handle, InviteCode string }
	if err := readJSON(c, 16384, &in); err != nil {
		return err
	}
	did, err := syntax.ParseDID(in.DID)
	if err != nil {
		return failure("IncompatibleDidDoc", "Accounts are made here for DIDs that exist, with service auth")
	}
	handle, err := syntax.ParseHandle(in.Handle)
	if err != nil || !handle.AllowedTLD() {
		return failure("InvalidHandle", "Input/handle must be a valid handle")
	}
	if err := h.serviceAuth(c, did, "com.atproto.server.createAccount"); err != nil {
		return err
	}
	if h.o.Migration.Invite == nil {
		return failure("InvalidInviteCode", "This host takes no accounts")
	}
	r := &Repo{DID: did, Handle: handle.Normalize(), Status: StatusDeactivated}
	err = h.o.Store.Update(c.Request().Context(), func(tx Tx) error {
		owner, own, err := h.o.Migration.Invite(c.Request().Context(), tx, in.InviteCode, did)
		if err != nil {
			return failure("InvalidInviteCode", "Provided invite code not available")
		}
		if h.inZone(r.Handle) && r.Handle != own.Normalize() {
			return failure("HandleNotAvailable", "That handle belongs to another account")
		}
		if _, err := h.o.Migration.Permit(c.Request().Context(), tx, owner); err != nil {
			return fmt.Errorf("asking the gate: %w", err)
		}
		key, err := atcrypto.GeneratePrivateKeyK256()
		if err != nil {
			return err
		}
		rotation, err := atcrypto.GeneratePrivateKeyK256()
		if err != nil {
			return err
		}
		r.Owner = owner
		if err := tx.RepoInsert(r); err != nil {
			return err
		}
		return errors.Join(h.o.Keys.PutKey(tx, did.String(), identity.KeyRepo, key), h.o.Keys.PutKey(tx, did.String(), identity.KeyRotation, rotation))
	})
	if errors.Is(err, ErrExists) {
		return failure("HandleNotAvailable", "The account or its handle exists already")
	}
	if err != nil {
		return err
	}
	return h.answerSession(c, r)
}

func (h *Host) inZone(handle syntax.Handle) bool {
	for _, d := range h.o.HandleDomains {
		if strings.HasSuffix(handle.String(), "."+d) {
			return true
		}
	}
	return false
}

// activateAccount announces the account, once the DID document points here.
func (h *Host) activateAccount(c echo.Context, s session) error {
	ctx := c.Request().Context()
	if err := h.pointsHere(ctx, s.did); err != nil {
		return err
	}
	err := h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(s.did)
		if err != nil {
			return err
		}
		if r.Head == "" {
			return invalid("There is no repo to activate")
		}
		permit, err := h.o.Migration.Permit(ctx, tx, r.Owner)
		if err != nil {
			return fmt.Errorf("asking the gate: %w", err)
		}
		return h.SetStatus(tx, permit, s.did, StatusActive)
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// pointsHere checks what the network will check: signing key and service endpoint of the DID document.
func (h *Host) pointsHere(ctx context.Context, did syntax.DID) error {
	id, err := h.o.Migration.Identity(ctx, did)
	if err != nil {
		return invalid("The DID does not resolve")
	}
	var want string
	err = h.o.Store.View(ctx, func(tx Tx) error {
		key, err := h.key(tx, did)
		if err != nil {
			return err
		}
		pub, err := key.PublicKey()
		want = pub.DIDKey()
		return err
	})
	if err != nil {
		return err
	}
	if strings.TrimSuffix(id.PDS, "/") != strings.TrimSuffix(h.URL(), "/") || id.Key != want {
		return invalid("The DID document does not point to this host and its key")
	}
	return nil
}

// deactivateAccount hides a repo at its owner's wish, which takes no permit.
func (h *Host) deactivateAccount(c echo.Context, s session) error {
	err := h.o.Store.Update(c.Request().Context(), func(tx Tx) error {
		r, err := tx.Repo(s.did)
		if err != nil {
			return err
		}
		return h.setStatus(tx, r, StatusDeactivated)
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

func (h *Host) checkAccountStatus(c echo.Context, s session) error {
	valid := h.pointsHere(c.Request().Context(), s.did) == nil
	return h.owned(c, s, func(tx Tx, r *Repo) error {
		expected, imported, err := tx.BlobCounts(r.ID)
		if err != nil {
			return err
		}
		blocks := r.Records
		if r.Head != "" {
			blocks++
		}
		err = tx.RepoNodes(r.ID, "", func(cidKey, []byte) error { blocks++; return nil })
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{"activated": r.Status == StatusActive, "validDid": valid, "repoCommit": r.Head, "repoRev": r.Rev,
			"repoBlocks": blocks, "indexedRecords": r.Records, "privateStateValues": 0, "expectedBlobs": expected, "importedBlobs": imported})
	})
}
