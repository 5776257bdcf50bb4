package atprototest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/auth"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

func (p *PDS) methods() methods {
	return methods{
		"_health": func(http.ResponseWriter, *http.Request) (any, error) {
			return map[string]string{"version": "fake"}, nil
		},
		"com.atproto.server.describeServer":  p.describeServer,
		"com.atproto.server.createSession":   p.createSession,
		"com.atproto.server.getServiceAuth":  p.getServiceAuth,
		"com.atproto.identity.resolveHandle": p.resolveHandle,
		"com.atproto.repo.describeRepo":      p.describeRepo,
		"com.atproto.repo.getRecord":         p.getRecord,
		"com.atproto.repo.listRecords":       p.listRecords,
		"com.atproto.repo.createRecord":      p.createRecord,
		"com.atproto.repo.putRecord":         p.createRecord,
		"com.atproto.repo.deleteRecord":      p.deleteRecord,
		"com.atproto.repo.uploadBlob":        p.uploadBlob,
		"com.atproto.sync.subscribeRepos":    func(w http.ResponseWriter, r *http.Request) (any, error) { return p.stream.serve(w, r) },
		"com.atproto.label.subscribeLabels":  func(w http.ResponseWriter, r *http.Request) (any, error) { return p.labels.serve(w, r) },
		"com.atproto.sync.getRepo":           p.getRepo,
		"com.atproto.sync.getRecord":         p.getRecordProof,
		"com.atproto.sync.getLatestCommit":   p.getLatestCommit,
		"com.atproto.sync.getRepoStatus":     p.getRepoStatus,
		"com.atproto.sync.getBlob":           p.getBlob,
		"com.atproto.sync.listBlobs":         p.listBlobs,
		"com.atproto.sync.listRepos":         p.listRepos,
	}
}

func (p *PDS) describeServer(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]any{"did": "did:web:localhost", "availableUserDomains": []string{".test"}, "inviteCodeRequired": false}, nil
}

// account finds the account by DID or handle; the caller holds the lock.
func (p *PDS) account(id string) (*Account, error) {
	if did, ok := p.handles[strings.ToLower(id)]; ok {
		id = did
	}
	a, ok := p.accounts[id]
	if !ok {
		return nil, &fault{http.StatusBadRequest, "RepoNotFound", "no such repo: " + id}
	}
	return a, nil
}

// readable is account for what an inactive account does not serve.
func (p *PDS) readable(id string) (*Account, error) {
	a, err := p.account(id)
	if err != nil || a.active {
		return a, err
	}
	name := map[string]string{"deactivated": "RepoDeactivated", "takendown": "RepoTakendown", "suspended": "RepoSuspended"}[a.status]
	if name == "" {
		name = "RepoNotFound"
	}
	return nil, &fault{http.StatusBadRequest, name, "the account is " + a.status}
}

func (p *PDS) resolveHandle(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	did, ok := p.handles[strings.ToLower(r.URL.Query().Get("handle"))]
	if !ok {
		return nil, &fault{http.StatusBadRequest, "HandleNotFound", "Unable to resolve handle"}
	}
	return map[string]string{"did": did}, nil
}

func (p *PDS) describeRepo(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.readable(r.URL.Query().Get("repo"))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	collections := []string{}
	for path := range a.records {
		if c, _, _ := strings.Cut(path, "/"); !seen[c] {
			seen[c] = true
			collections = append(collections, c)
		}
	}
	sort.Strings(collections)
	return map[string]any{"handle": a.Handle, "did": a.DID, "didDoc": map[string]any{}, "collections": collections, "handleIsCorrect": true}, nil
}

// value decodes a record for JSON.
func (a *Account) value(path string) (map[string]any, error) {
	return atdata.UnmarshalCBOR(a.blocks[a.records[path]].data)
}

func (p *PDS) getRecord(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	a, err := p.readable(q.Get("repo"))
	if err != nil {
		return nil, err
	}
	path := q.Get("collection") + "/" + q.Get("rkey")
	id, ok := a.records[path]
	if !ok || (q.Get("cid") != "" && q.Get("cid") != id.String()) {
		return nil, &fault{http.StatusBadRequest, "RecordNotFound", "Could not locate record"}
	}
	v, err := a.value(path)
	return map[string]any{"uri": "at://" + a.DID + "/" + path, "cid": id.String(), "value": v}, err
}

func (p *PDS) listRecords(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	a, err := p.readable(q.Get("repo"))
	if err != nil {
		return nil, err
	}
	paths := []string{}
	for path := range a.records {
		if strings.HasPrefix(path, q.Get("collection")+"/") {
			paths = append(paths, path)
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(paths)))
	limit := atoi(q.Get("limit"), 50)
	out := map[string]any{}
	list := []any{}
	for _, path := range paths {
		_, rkey, _ := strings.Cut(path, "/")
		if cursor := q.Get("cursor"); cursor != "" && rkey >= cursor {
			continue
		}
		if len(list) == limit {
			break
		}
		v, err := a.value(path)
		if err != nil {
			return nil, err
		}
		list = append(list, map[string]any{"uri": "at://" + a.DID + "/" + path, "cid": a.records[path].String(), "value": v})
		out["cursor"] = rkey
	}
	out["records"] = list
	return out, nil
}

func atoi(s string, def int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return def
	}
	return n
}

func sendCAR(w http.ResponseWriter, car []byte) (any, error) {
	w.Header().Set("Content-Type", "application/vnd.ipld.car")
	_, _ = w.Write(car)
	return nil, nil
}

func (p *PDS) getRepo(w http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	a, err := p.readable(r.URL.Query().Get("did"))
	if err != nil {
		p.mu.Unlock()
		return nil, err
	}
	since := r.URL.Query().Get("since")
	if p.NoSince {
		since = ""
	}
	car := a.car(since)
	p.mu.Unlock()
	return sendCAR(w, car)
}

func (p *PDS) getRecordProof(w http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	p.mu.Lock()
	a, err := p.readable(q.Get("did"))
	if err != nil {
		p.mu.Unlock()
		return nil, err
	}
	car := a.proof(q.Get("collection") + "/" + q.Get("rkey"))
	p.mu.Unlock()
	return sendCAR(w, car)
}

func (p *PDS) getLatestCommit(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.readable(r.URL.Query().Get("did"))
	if err != nil {
		return nil, err
	}
	return map[string]string{"cid": a.head.String(), "rev": a.commit.Rev}, nil
}

func (p *PDS) getRepoStatus(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.account(r.URL.Query().Get("did"))
	if err != nil {
		return nil, err
	}
	out := map[string]any{"did": a.DID, "active": a.active}
	if a.active {
		out["rev"] = a.commit.Rev
	} else {
		out["status"] = a.status
	}
	return out, nil
}

func (p *PDS) getBlob(w http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	a, err := p.readable(r.URL.Query().Get("did"))
	if err != nil {
		p.mu.Unlock()
		return nil, err
	}
	b, ok := a.blobs[r.URL.Query().Get("cid")]
	p.mu.Unlock()
	if !ok {
		return nil, &fault{http.StatusBadRequest, "BlobNotFound", "Blob not found"}
	}
	w.Header().Set("Content-Type", b.mime)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b.data)
	return nil, nil
}

func (p *PDS) listBlobs(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.readable(r.URL.Query().Get("did"))
	if err != nil {
		return nil, err
	}
	cids := []string{}
	for id := range a.blobs {
		cids = append(cids, id)
	}
	sort.Strings(cids)
	return map[string]any{"cids": cids}, nil
}

func (p *PDS) listRepos(http.ResponseWriter, *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	repos := []any{}
	for _, a := range p.accounts {
		e := map[string]any{"did": a.DID, "head": a.head.String(), "rev": a.commit.Rev, "active": a.active}
		if !a.active {
			e["status"] = a.status
		}
		repos = append(repos, e)
	}
	return map[string]any{"repos": repos}, nil
}

func (p *PDS) createSession(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct{ Identifier, Password string }
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.account(in.Identifier)
	if err != nil || a.Password != in.Password {
		return nil, &fault{http.StatusUnauthorized, "AuthenticationRequired", "Invalid identifier or password"}
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	token := hex.EncodeToString(raw)
	p.tokens[token] = a.DID
	return map[string]any{"did": a.DID, "handle": a.Handle, "accessJwt": token, "refreshJwt": token, "active": a.active}, nil
}

// session finds the account of the bearer token; the caller holds the lock.
func (p *PDS) session(r *http.Request) (*Account, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if did, known := p.tokens[token]; ok && known {
		return p.accounts[did], nil
	}
	return nil, &fault{http.StatusUnauthorized, "AuthMissing", "Authentication Required"}
}

func (p *PDS) getServiceAuth(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.session(r)
	if err != nil {
		return nil, err
	}
	lxm, err := syntax.ParseNSID(r.URL.Query().Get("lxm"))
	if err != nil {
		return nil, badRequest("lxm: %v", err)
	}
	token, err := auth.SignServiceAuth(syntax.DID(a.DID), r.URL.Query().Get("aud"), time.Minute, &lxm, a.key)
	return map[string]string{"token": token}, err
}

func (p *PDS) createRecord(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct {
		Repo, Collection, RKey string
		Record                 json.RawMessage
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	p.mu.Lock()
	a, err := p.session(r)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	record, err := atdata.UnmarshalJSON(in.Record)
	if err != nil {
		return nil, badRequest("record: %v", err)
	}
	ref, err := p.Put(a, in.Collection, in.RKey, record)
	return map[string]string{"uri": ref.URI, "cid": ref.CID}, err
}

func (p *PDS) deleteRecord(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct{ Repo, Collection, RKey string }
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	p.mu.Lock()
	a, err := p.session(r)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return map[string]any{}, p.Delete(fmt.Sprintf("at://%s/%s/%s", a.DID, in.Collection, in.RKey))
}

func (p *PDS) uploadBlob(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	a, err := p.session(r)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, 100<<20))
	if err != nil {
		return nil, badRequest("body: %v", err)
	}
	b, err := p.Upload(a, data, r.Header.Get("Content-Type"))
	return map[string]any{"blob": b}, err
}
