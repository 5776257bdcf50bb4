package atprototest

import (
	"net/http"
	"sort"
)

func (y *Relay) getRepoStatus(_ http.ResponseWriter, r *http.Request) (any, error) {
	did := r.URL.Query().Get("did")
	y.mu.Lock()
	defer y.mu.Unlock()
	a, ok := y.accounts[did]
	if !ok {
		return nil, &fault{http.StatusNotFound, "RepoNotFound", "account not found"}
	}
	out := map[string]any{"did": did, "active": a.active && !a.throttled}
	if s := a.shown(); s != "" {
		out["status"] = s
	} else if a.rev != "" {
		out["rev"] = a.rev
	}
	return out, nil
}

func (h *host) view() map[string]any {
	return map[string]any{"hostname": h.name, "seq": h.seq, "accountCount": h.accounts, "status": h.status}
}

func (y *Relay) getHostStatus(_ http.ResponseWriter, r *http.Request) (any, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	h, ok := y.hosts[r.URL.Query().Get("hostname")]
	if !ok {
		return nil, &fault{http.StatusBadRequest, "HostNotFound", "host not found"}
	}
	return h.view(), nil
}

func (y *Relay) listHosts(http.ResponseWriter, *http.Request) (any, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	hosts := []any{}
	for _, h := range y.hosts {
		hosts = append(hosts, h.view())
	}
	return map[string]any{"hosts": hosts}, nil
}

func (y *Relay) listRepos(http.ResponseWriter, *http.Request) (any, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	dids := []string{}
	for did := range y.accounts {
		dids = append(dids, did)
	}
	sort.Strings(dids)
	repos := []any{}
	for _, did := range dids {
		a := y.accounts[did]
		repos = append(repos, map[string]any{"did": did, "head": a.data, "rev": a.rev, "active": a.active && !a.throttled})
	}
	return map[string]any{"repos": repos}, nil
}

func (y *Relay) getLatestCommit(_ http.ResponseWriter, r *http.Request) (any, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	a, ok := y.accounts[r.URL.Query().Get("did")]
	if !ok || a.rev == "" {
		return nil, &fault{http.StatusNotFound, "RepoNotFound", "account not found"}
	}
	return map[string]any{"cid": a.data, "rev": a.rev}, nil
}
