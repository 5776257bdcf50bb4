package atprototest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/gorilla/websocket"
)

// Relay collects the firehoses of hosts into one. It refuses what the real relay only warns of.
type Relay struct {
	server
	ids    *idents
	now    func() time.Time
	stream *stream
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup
	note   func() // called after each change

	mu       sync.Mutex
	hosts    map[string]*host
	accounts map[string]*relayed
	rejected []Rejection
	// Limit is how many accounts a host may have that is first seen after it is set.
	Limit int
	// alias maps the endpoint that DID documents name to the base URL that is crawled, where they differ.
	alias map[string]string
}

type host struct {
	name, base string
	status     string
	seq, done  int64 // read, and worked on
	accounts   int
	limit      int
	running    bool
}

// relayed is what the relay knows of an account.
type relayed struct {
	host      *host
	active    bool
	status    string
	throttled bool
	rev, data string
}

// Rejection is an event that the relay refused.
type Rejection struct {
	Host string
	Seq  int64
	DID  string
	// Reason says why; warnings of the real relay are rejections here.
	Reason string
}

func (y *Relay) start(addr string, ids *idents, now func() time.Time, note func()) error {
	y.ids, y.now, y.stream, y.note = ids, now, newStream(), note
	y.hosts, y.accounts, y.alias = map[string]*host{}, map[string]*relayed{}, map[string]string{}
	if y.Limit == 0 {
		y.Limit = 1000
	}
	y.ctx, y.stop = context.WithCancel(context.Background())
	return y.listen(addr, methods{
		"_health":                          func(http.ResponseWriter, *http.Request) (any, error) { return map[string]string{"status": "ok"}, nil },
		"com.atproto.sync.requestCrawl":    y.requestCrawl,
		"com.atproto.sync.subscribeRepos":  func(w http.ResponseWriter, r *http.Request) (any, error) { return y.stream.serve(w, r) },
		"com.atproto.sync.getRepoStatus":   y.getRepoStatus,
		"com.atproto.sync.getHostStatus":   y.getHostStatus,
		"com.atproto.sync.listHosts":       y.listHosts,
		"com.atproto.sync.listRepos":       y.listRepos,
		"com.atproto.sync.getLatestCommit": y.getLatestCommit,
	})
}

func (y *Relay) shutdown() {
	if y.stop == nil {
		return
	}
	y.stop()
	y.stream.close()
	y.close()
	y.wg.Wait()
}

func (y *Relay) requestCrawl(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct{ Hostname string }
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if in.Hostname == "" || strings.ContainsAny(in.Hostname, "/ ") {
		return nil, badRequest("hostname field empty or invalid")
	}
	y.Crawl(in.Hostname)
	return map[string]any{}, nil
}

// Crawl subscribes to a host unless it is subscribed to already. hostname is host:port, or a base URL.
func (y *Relay) Crawl(hostname string) {
	base := hostname
	if !strings.Contains(base, "://") {
		base = "http://" + hostname
	}
	u, err := url.Parse(base)
	if err != nil {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	h, ok := y.hosts[u.Host]
	if !ok {
		h = &host{name: u.Host, base: base, limit: y.Limit}
		y.hosts[u.Host] = h
	}
	if h.running {
		return
	}
	h.running, h.status = true, "active"
	y.wg.Go(func() { y.follow(h) })
}

// Alias tells the relay that accounts whose DID document names endpoint live on the host crawled as base.
func (y *Relay) Alias(endpoint, base string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.alias[strings.TrimSuffix(endpoint, "/")] = strings.TrimSuffix(base, "/")
}

// follow reads a host, and gives up after some failures in a row, as the real relay does.
func (y *Relay) follow(h *host) {
	for failures := 0; failures < 16 && y.ctx.Err() == nil; {
		got, err := y.read(h)
		if errors.Is(err, errFuture) {
			y.setHost(h, "idle", false)
			return
		}
		if got {
			failures = 0
		} else {
			failures++
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-y.ctx.Done():
		}
	}
	y.setHost(h, "offline", false)
}

func (y *Relay) setHost(h *host, status string, running bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	h.status, h.running = status, running
}

var errFuture = fmt.Errorf("the host says FutureCursor")

func (y *Relay) read(h *host) (got bool, err error) {
	link := strings.Replace(h.base, "http", "ws", 1) + "/xrpc/com.atproto.sync.subscribeRepos"
	y.mu.Lock()
	if h.seq > 0 {
		link += "?cursor=" + strconv.FormatInt(h.seq, 10)
	}
	y.mu.Unlock()
	conn, resp, err := websocket.DefaultDialer.DialContext(y.ctx, link, nil)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return false, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(y.ctx, func() { _ = conn.Close() })
	defer stop()
	y.note()
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return got, err
		}
		got = true
		if err := y.frame(h, raw); err != nil {
			return got, err
		}
	}
}

func (y *Relay) frame(h *host, raw []byte) error {
	m, err := parseFrame(raw)
	if err != nil {
		y.reject(h, 0, "", err.Error())
		return nil
	}
	if m.future {
		return errFuture
	}
	y.mu.Lock()
	if m.seq != 0 && m.seq <= h.seq {
		y.mu.Unlock()
		y.reject(h, m.seq, m.did, fmt.Sprintf("seq went from %d to %d", h.seq, m.seq))
		return nil
	}
	if m.seq != 0 {
		h.seq = m.seq
	}
	y.mu.Unlock()
	if reason := y.event(h, m); reason != "" {
		y.reject(h, m.seq, m.did, reason)
	}
	y.mu.Lock()
	h.done = max(h.done, m.seq)
	y.mu.Unlock()
	y.note()
	return nil
}

func (y *Relay) reject(h *host, seq int64, did, reason string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.rejected = append(y.rejected, Rejection{h.name, seq, did, reason})
}

// Rejected lists what was refused so far.
func (y *Relay) Rejected() []Rejection {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.rejected)
}

// event works on a message and returns why it is refused, or nothing.
func (y *Relay) event(h *host, m *message) string {
	switch {
	case m.commit != nil:
		return y.onCommit(h, m.commit)
	case m.sync != nil:
		return y.onSync(h, m.sync)
	case m.identity != nil:
		return y.onIdentity(h, m.identity)
	case m.account != nil:
		return y.onAccount(h, m.account)
	}
	return ""
}

// known finds or makes the record of an account, after checking where it lives.
func (y *Relay) known(h *host, did string) (*relayed, string) {
	id, err := y.ids.lookup(y.ctx, did)
	if err != nil {
		return nil, "identity: " + err.Error()
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	endpoint := strings.TrimSuffix(id.PDSEndpoint(), "/")
	if other, ok := y.alias[endpoint]; ok {
		endpoint = other
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host != h.name {
		return nil, "the account lives on " + endpoint
	}
	a, ok := y.accounts[did]
	if ok {
		if a.host != h {
			a.host.accounts--
			a.host = h
			h.accounts++
		}
		return a, ""
	}
	a = &relayed{host: h, active: true}
	h.accounts++
	y.accounts[did] = a
	if h.accounts > h.limit {
		a.throttled = true
		y.announce(did, a)
	}
	return a, ""
}

// announce publishes #account as the relay sees it; the caller holds the lock.
func (y *Relay) announce(did string, a *relayed) {
	e := &comatproto.SyncSubscribeRepos_Account{Did: did, Time: now8601(y.now()), Active: a.active && !a.throttled}
	if status := a.shown(); status != "" {
		e.Status = &status
	}
	y.stream.publish("#account", func(seq int64) event { e.Seq = seq; return e })
}

func (a *relayed) shown() string {
	switch {
	case !a.active:
		return a.status
	case a.throttled:
		return "throttled"
	}
	return ""
}

// SetLimit changes the account limit of a host (host:port) and lets throttled accounts in, in no particular order. What
// they did meanwhile is lost until they send #sync.
func (y *Relay) SetLimit(hostname string, limit int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	h, ok := y.hosts[hostname]
	if !ok {
		return
	}
	h.limit = limit
	over := h.accounts - limit
	for did, a := range y.accounts {
		if a.host == h && a.throttled && over <= 0 {
			a.throttled, a.rev, a.data = false, "", ""
			y.announce(did, a)
		}
	}
}

// TrimLog forgets all but the newest n events.
func (y *Relay) TrimLog(n int) { y.stream.trim(n) }

// ForgetLog starts numbering anew, as after a restored backup.
func (y *Relay) ForgetLog() { y.stream.forgetAll() }

// RawFrame sends any bytes to the subscribers.
func (y *Relay) RawFrame(frame []byte) { y.stream.publishRaw(frame) }

// Seq is the sequence of the newest event.
func (y *Relay) Seq() int64 { return y.stream.last() }

// Announce sends #account with a status of the relay's own making, true or not.
func (y *Relay) Announce(did, status string) {
	e := &comatproto.SyncSubscribeRepos_Account{Did: did, Time: now8601(y.now()), Active: status == ""}
	if status != "" {
		e.Status = &status
	}
	y.stream.publish("#account", func(seq int64) event { e.Seq = seq; return e })
}
