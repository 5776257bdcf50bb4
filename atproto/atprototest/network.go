package atprototest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Options for Start; the zero value is a network of one PDS.
type Options struct {
	// HandleHosts says which base URL serves the well-known of handles that end in a suffix.
	HandleHosts map[string]string
	// PDSCount is how many PDSes there are; default one.
	PDSCount int
	// AccountLimit is the relay's limit of accounts for each host; default 1000.
	AccountLimit int
	// Now is the clock of the services; default time.Now.
	Now func() time.Time
	// Ports fixes the listening addresses (host:port) by name: plc, relay, appview, chat, pds0, pds1.
	Ports map[string]string
}

// Network is a whole ATmosphere.
type Network struct {
	PLC *PLC
	// PDS is the first of the PDSes.
	PDS     *PDS
	PDSes   []*PDS
	Relay   *Relay
	AppView *AppView
	Chat    *Chat

	o           Options
	mu          sync.Mutex
	handleHosts map[string]string // suffix to base URL
	changed     chan struct{}
}

// Start starts all services on loopback. On an error nothing is left running.
func Start(o Options) (*Network, error) {
	o.PDSCount = max(o.PDSCount, 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &Network{o: o, handleHosts: map[string]string{}, changed: make(chan struct{})}
	for suffix, base := range o.HandleHosts {
		n.SetHandleHost(suffix, base)
	}
	if err := n.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the ATmosphere: %w", err), n.Close())
	}
	return n, nil
}

func (n *Network) start() error {
	n.PLC = &PLC{}
	if err := n.PLC.start(n.o.Ports["plc"], n.o.Now); err != nil {
		return err
	}
	n.Relay = &Relay{Limit: n.o.AccountLimit}
	if err := n.Relay.start(n.o.Ports["relay"], newIdents(n.PLC.URL(), n.HandleHost), n.o.Now, n.notify); err != nil {
		return err
	}
	for i := range n.o.PDSCount {
		p := &PDS{}
		n.PDSes = append(n.PDSes, p)
		if err := p.start(n.o.Ports[fmt.Sprintf("pds%d", i)], n.PLC, n.o.Now); err != nil {
			return err
		}
		n.SetHandleHost(pdsSuffix(i), p.URL())
		n.Relay.Crawl(p.URL())
	}
	n.AppView = &AppView{}
	if err := n.AppView.start(n.o.Ports["appview"], n.Relay.URL(), newIdents(n.PLC.URL(), n.HandleHost), n.o.Now, n.notify); err != nil {
		return err
	}
	n.Chat = &Chat{}
	if err := n.Chat.start(n.o.Ports["chat"], newIdents(n.PLC.URL(), n.HandleHost), n.o.Now, n.notify); err != nil {
		return err
	}
	n.PDS = n.PDSes[0]
	return n.awaitCrawls()
}

// awaitCrawls waits until the relay reads all PDSes: it sees no account made before.
func (n *Network) awaitCrawls() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.Eventually(ctx, func() bool {
		for _, p := range n.PDSes {
			p.stream.mu.Lock()
			ok := p.stream.readers > 0
			p.stream.mu.Unlock()
			if !ok {
				return false
			}
		}
		return true
	})
}

func pdsSuffix(i int) string {
	if i == 0 {
		return ".pds.test"
	}
	return fmt.Sprintf(".pds%d.test", i)
}

// Close stops everything.
func (n *Network) Close() error {
	if n.AppView != nil {
		n.AppView.shutdown()
	}
	if n.Relay != nil {
		n.Relay.shutdown()
	}
	for _, p := range n.PDSes {
		p.stop()
	}
	if n.Chat != nil {
		n.Chat.close()
	}
	if n.PLC != nil {
		n.PLC.close()
	}
	return nil
}

// SetHandleHost says which base URL serves the well-known of handles that are, or end in, a domain.
func (n *Network) SetHandleHost(suffix, base string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handleHosts[strings.ToLower(strings.TrimPrefix(suffix, "."))] = strings.TrimSuffix(base, "/")
}

// HandleHost returns the base URL that serves a handle's well-known, or nothing. The longest suffix wins.
func (n *Network) HandleHost(handle string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	best, base := 0, ""
	for suffix, b := range n.handleHosts {
		if strings.HasSuffix("."+strings.ToLower(handle), "."+suffix) && len(suffix) > best {
			best, base = len(suffix), b
		}
	}
	return base
}

// HandleURL fits the HandleURL option of atproto.ResolverOptions.
func (n *Network) HandleURL(h syntax.Handle) string { return n.HandleHost(string(h)) }

// notify wakes those who wait in Eventually.
func (n *Network) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// Eventually waits until cond holds, looking after each change of the network and every 20 ms, or until ctx ends.
func (n *Network) Eventually(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the network: %w", ctx.Err())
		}
	}
}

// Get makes an XRPC query of the AppView and decodes the answer into out.
func (n *Network) Get(ctx context.Context, method string, params map[string][]string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AppView.URL()+"/xrpc/"+method, nil)
	if err != nil {
		return err
	}
	q := req.URL.Query()
	for k, vs := range params {
		q[k] = vs
	}
	req.URL.RawQuery = q.Encode()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		var f struct{ Error, Message string }
		_ = json.NewDecoder(resp.Body).Decode(&f) // the status says enough
		return &fault{resp.StatusCode, f.Error, f.Message}
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// ErrNoSuchAccount is returned for a name that was not created.
var ErrNoSuchAccount = errors.New("no such account")

// Settle waits until the relay has read all that the fake PDSes sent and the AppView all that the relay sent.
func (n *Network) Settle(ctx context.Context) error { return n.Eventually(ctx, n.settled) }

func (n *Network) settled() bool {
	for _, p := range n.PDSes {
		n.Relay.mu.Lock()
		h, ok := n.Relay.hosts[p.Addr()]
		level := ok && (h.done >= p.Seq() || h.status != "active")
		n.Relay.mu.Unlock()
		if !level {
			return false
		}
	}
	n.AppView.mu.Lock()
	defer n.AppView.mu.Unlock()
	return n.AppView.cursor >= n.Relay.Seq()
}
