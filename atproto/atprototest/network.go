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

// Network is a whole ATmosphere. Set the fields that matter, then Start.
type Network struct {
	// PDSCount is how many PDSes there are; default one.
	PDSCount int
	// AccountLimit is the relay's limit of accounts for each host; default 1000.
	AccountLimit int
	// Now is the clock of the services; default time.Now.
	Now func() time.Time
	// Ports fixes the listening addresses (host:port) by name: plc, relay, appview, chat, pds0, pds1.
	Ports map[string]string

	PLC     *PLC
	PDSes   []*PDS
	Relay   *Relay
	AppView *AppView
	Chat    *Chat

	mu          sync.Mutex
	handleHosts map[string]string // suffix to base URL
	changed     chan struct{}
}

// Start starts all services on loopback. On an error nothing is left running.
func (n *Network) Start() error {
	if n.PDSCount <= 0 {
		n.PDSCount = 1
	}
	if n.Now == nil {
		n.Now = time.Now
	}
	n.handleHosts, n.changed = map[string]string{}, make(chan struct{})
	if err := n.start(); err != nil {
		n.Close()
		return fmt.Errorf("starting the ATmosphere: %w", err)
	}
	return nil
}

func (n *Network) start() error {
	n.PLC = &PLC{}
	if err := n.PLC.start(n.Ports["plc"], n.Now); err != nil {
		return err
	}
	n.Relay = &Relay{Limit: n.AccountLimit}
	if err := n.Relay.start(n.Ports["relay"], newIdents(n.PLC.URL, n.HandleHost), n.Now, n.notify); err != nil {
		return err
	}
	for i := range n.PDSCount {
		p := &PDS{}
		n.PDSes = append(n.PDSes, p)
		if err := p.start(n.Ports[fmt.Sprintf("pds%d", i)], n.PLC, n.Now); err != nil {
			return err
		}
		n.SetHandleHost(pdsSuffix(i), p.URL)
		n.Relay.Crawl(p.URL)
	}
	n.AppView = &AppView{}
	if err := n.AppView.start(n.Ports["appview"], n.Relay.URL, newIdents(n.PLC.URL, n.HandleHost), n.Now, n.notify); err != nil {
		return err
	}
	n.Chat = &Chat{}
	if err := n.Chat.start(n.Ports["chat"], newIdents(n.PLC.URL, n.HandleHost), n.Now, n.notify); err != nil {
		return err
	}
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
func (n *Network) Close() {
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
}

// SetHandleHost says which base URL serves the well-known of handles that end in suffix (".zone.test").
func (n *Network) SetHandleHost(suffix, base string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handleHosts[strings.ToLower(suffix)] = base
}

// HandleHost returns the base URL that serves a handle's well-known, or nothing. The longest suffix wins.
func (n *Network) HandleHost(handle string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	best, base := 0, ""
	for suffix, b := range n.handleHosts {
		if strings.HasSuffix(strings.ToLower(handle), suffix) && len(suffix) > best {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AppView.URL+"/xrpc/"+method, nil)
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
