package pds

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"
)

func (h *Host) registerRepo(e *echo.Echo) {
	h.get(e, "com.atproto.repo.describeRepo", 1, h.describeRepo)
	h.get(e, "com.atproto.repo.getRecord", 1, h.getRecord)
	h.get(e, "com.atproto.repo.listRecords", 1, h.listRecords)
	h.get(e, "com.atproto.server.describeServer", 1, h.describeServer)
	h.get(e, "com.atproto.identity.resolveHandle", 1, h.resolveHandle)
}

// viewRepo is view for calls that name a repo by DID or handle.
func (h *Host) viewRepo(c echo.Context, f func(tx Tx, r *Repo) error) error {
	id, err := syntax.ParseAtIdentifier(c.QueryParam("repo"))
	if err != nil {
		return invalid("repo must be a valid at-identifier")
	}
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		did := syntax.DID("")
		if d, err := id.AsDID(); err == nil {
			did = d
		} else if handle, err := id.AsHandle(); err == nil {
			r, err := tx.RepoByHandle(handle)
			if errors.Is(err, ErrNoRepo) {
				return failure("RepoNotFound", "Could not find repo: %s", id)
			}
			if err != nil {
				return err
			}
			did = r.DID
		}
		r, err := available(tx, did)
		if err != nil {
			return err
		}
		return f(tx, r)
	})
}

// recordJSON is a record as the JSON form of the data model.
func recordJSON(data []byte) (json.RawMessage, error) {
	m, err := atdata.UnmarshalCBOR(data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

type recordEntry struct {
	URI   string          `json:"uri"`
	CID   string          `json:"cid"`
	Value json.RawMessage `json:"value"`
}

func entryOf(r *Repo, rec StoredRecord) (recordEntry, error) {
	value, err := recordJSON(rec.Data)
	return recordEntry{URI: "at://" + r.DID.String() + "/" + rec.Path, CID: rec.CID.String(), Value: value}, err
}

func (h *Host) getRecord(c echo.Context) error {
	collection, err := collectionParam(c)
	if err != nil {
		return err
	}
	rkey, err := syntax.ParseRecordKey(c.QueryParam("rkey"))
	if err != nil {
		return invalid("rkey must be a valid record-key")
	}
	return h.viewRepo(c, func(tx Tx, r *Repo) error {
		rec, err := tx.RepoRecord(r.ID, string(collection)+"/"+string(rkey))
		want := c.QueryParam("cid")
		if errors.Is(err, ErrNotFound) || err == nil && want != "" && want != rec.CID.String() {
			return failure("RecordNotFound", "Could not locate record: at://%s/%s/%s", r.DID, collection, rkey)
		}
		if err != nil {
			return err
		}
		e, err := entryOf(r, *rec)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, e)
	})
}

func (h *Host) listRecords(c echo.Context) error {
	collection, err := collectionParam(c)
	if err != nil {
		return err
	}
	limit, err := limitParam(c, 50, 100)
	if err != nil {
		return err
	}
	after := syntax.RecordKey(c.QueryParam("cursor"))
	if _, err := syntax.ParseRecordKey(string(after)); after != "" && err != nil {
		return invalid("cursor is not one of ours")
	}
	return h.viewRepo(c, func(tx Tx, r *Repo) error {
		list, err := tx.RepoCollection(r.ID, collection, after, limit, c.QueryParam("reverse") == "true")
		if err != nil {
			return err
		}
		out := struct {
			Cursor  string        `json:"cursor,omitempty"`
			Records []recordEntry `json:"records"`
		}{Records: []recordEntry{}}
		for _, rec := range list {
			e, err := entryOf(r, rec)
			if err != nil {
				return err
			}
			out.Records = append(out.Records, e)
			out.Cursor = rec.Path[len(collection)+1:]
		}
		return c.JSON(http.StatusOK, out)
	})
}

func (h *Host) describeRepo(c echo.Context) error {
	return h.viewRepo(c, func(tx Tx, r *Repo) error {
		collections, err := tx.RepoCollections(r.ID)
		if err != nil {
			return err
		}
		key, err := h.key(tx, r.DID)
		if err != nil {
			return err
		}
		pub, err := key.PublicKey()
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{
			"did": r.DID, "handle": r.Handle, "handleIsCorrect": true, "collections": append([]string{}, collections...),
			"didDoc": h.didDocument(r, pub.Multibase()),
		})
	})
}

// didDocument is what the PLC directory says of an account that lives here.
func (h *Host) didDocument(r *Repo, multibase string) map[string]any {
	return map[string]any{
		"@context": []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1", "https://w3id.org/security/suites/secp256k1-2019/v1"},
		"id":       r.DID, "alsoKnownAs": []string{"at://" + r.Handle.String()},
		"verificationMethod": []any{map[string]any{"id": r.DID.String() + "#atproto", "type": "Multikey", "controller": r.DID, "publicKeyMultibase": multibase}},
		"service":            []any{map[string]any{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": h.URL()}},
	}
}

func (h *Host) describeServer(c echo.Context) error {
	domains := []string{}
	for _, d := range h.o.HandleDomains {
		domains = append(domains, "."+d)
	}
	links := map[string]string{}
	if h.o.Privacy != "" {
		links["privacyPolicy"] = h.o.Privacy
	}
	if h.o.Terms != "" {
		links["termsOfService"] = h.o.Terms
	}
	out := map[string]any{"did": h.DID(), "availableUserDomains": domains, "inviteCodeRequired": true, "phoneVerificationRequired": false, "links": links}
	if h.o.Contact != "" {
		out["contact"] = map[string]string{"email": h.o.Contact}
	}
	return c.JSON(http.StatusOK, out)
}

func (h *Host) resolveHandle(c echo.Context) error {
	handle, err := syntax.ParseHandle(c.QueryParam("handle"))
	if err != nil {
		return invalid("handle must be a valid handle")
	}
	did, err := h.HandleDID(c.Request().Context(), handle)
	if err != nil {
		return err
	}
	if did == "" {
		return failure("HandleNotFound", "Unable to resolve handle")
	}
	return c.JSON(http.StatusOK, map[string]any{"did": did})
}
