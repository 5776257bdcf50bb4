// minirelay: Bluesky's own relay code (indigo/cmd/relay/relay, strict Sync 1.1 validation) for loopback hosts.
// The stock binary refuses 127.0.0.1 in requestCrawl (SSRF guard of its host check); as a library there is no such check.
//
//	minirelay -listen 127.0.0.1:2470 -plc http://localhost:2582 -dir ./state localhost:2583 localhost:2593
//	POST /xrpc/com.atproto.sync.requestCrawl {"hostname":"localhost:9000"}   GET /xrpc/com.atproto.sync.listHosts
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/identity"
	"github.com/bluesky-social/indigo/cmd/relay/relay"
	"github.com/bluesky-social/indigo/cmd/relay/stream/eventmgr"
	"github.com/bluesky-social/indigo/cmd/relay/stream/persist/diskpersist"
	"github.com/bluesky-social/indigo/util/cliutil"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	listen := flag.String("listen", "127.0.0.1:2470", "")
	plc := flag.String("plc", "http://localhost:2582", "")
	dir := flag.String("dir", "", "state folder (default: a fresh temporary one)")
	lenient := flag.Bool("lenient", false, "only log Sync 1.1 violations")
	skipHost := flag.Bool("skip-host-check", false, "accept accounts whose DID document names another host (https names while crawling localhost:PORT)")
	alias := map[string]string{}
	flag.Func("alias", "NAME=HOST:PORT: crawl NAME there, by plain http (the relay's guard refuses TLS on loopback)", func(v string) error {
		name, at, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want NAME=HOST:PORT")
		}
		alias[name] = at
		return nil
	})
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if *dir == "" {
		*dir = must(os.MkdirTemp("", "minirelay-"))
	}
	ident := identity.NewCacheDirectory(&identity.BaseDirectory{PLCURL: *plc, SkipHandleVerification: true}, 10000, time.Hour, time.Second, time.Second)
	db := must(cliutil.SetupDatabase("sqlite://"+*dir+"/relay.sqlite", 10))
	p := must(diskpersist.NewDiskPersistence(*dir+"/persist", "", db, diskpersist.DefaultDiskPersistOptions()))
	cfg := relay.DefaultRelayConfig()
	cfg.LenientSyncValidation, cfg.SkipAccountHostCheck, cfg.DefaultRepoLimit, cfg.HostPerDayLimit = *lenient, *skipHost, 100000, 100000
	r := must(relay.NewRelay(db, eventmgr.NewEventManager(p), ident, cfg))
	p.SetUidSource(r)
	crawl := func(h string) error {
		if at := alias[h]; at != "" {
			h = at
		}
		name, noSSL, err := relay.ParseHostname(h)
		if err != nil {
			return err
		}
		return r.SubscribeToHost(context.Background(), name, noSSL, true)
	}
	for _, h := range flag.Args() {
		if err := crawl(h); err != nil {
			log.Fatalf("%s: %v", h, err)
		}
	}
	http.HandleFunc("GET /xrpc/_health", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })
	http.HandleFunc("GET /xrpc/com.atproto.sync.subscribeRepos", func(w http.ResponseWriter, q *http.Request) {
		var since *int64
		if c := q.URL.Query().Get("cursor"); c != "" {
			n, err := strconv.ParseInt(c, 10, 64)
			if err != nil {
				http.Error(w, "bad cursor", 400)
				return
			}
			since = &n
		}
		if err := r.HandleSubscribeRepos(w, q, since, q.RemoteAddr); err != nil {
			slog.Warn("consumer", "err", err)
		}
	})
	http.HandleFunc("POST /xrpc/com.atproto.sync.requestCrawl", func(w http.ResponseWriter, q *http.Request) {
		var in struct{ Hostname string }
		if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), 400)
		} else if err := crawl(in.Hostname); err != nil {
			http.Error(w, err.Error(), 400)
		}
	})
	http.HandleFunc("GET /xrpc/com.atproto.sync.listHosts", func(w http.ResponseWriter, q *http.Request) {
		hs, err := r.ListHosts(q.Context(), 0, 100, true)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"hosts": hs})
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}
