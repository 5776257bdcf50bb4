package activitypub

import (
	"context"
	"strings"
	"time"
)

// How long it is remembered what a host takes, and that it takes nothing.
const (
	knownFor   = 7 * 24 * time.Hour
	unknownFor = time.Hour
	maxHosts   = 20_000
)

// HostMemory remembers which signature scheme a host accepts. It is a hint and may forget.
type HostMemory interface {
	// Scheme says what to sign with; sure is false if another one may be tried when it is refused.
	Scheme(ctx context.Context, host string) (s Scheme, sure bool)
	// Remember keeps that a host took a scheme; "" that it took none, so that we do not knock twice for a while.
	Remember(ctx context.Context, host string, s Scheme)
}

type hostFact struct {
	scheme Scheme
	at     time.Time
}

type hostMemory struct {
	store Store
	now   func() time.Time
	facts *recent[string, hostFact]
}

// NewHostMemory keeps facts in memory and, if there is a store, in the database too.
func NewHostMemory(store Store, now func() time.Time) HostMemory {
	return &hostMemory{store: store, now: now, facts: newRecent[string, hostFact](maxHosts, knownFor, now)}
}

func (m *hostMemory) Scheme(ctx context.Context, host string) (Scheme, bool) {
	host = strings.ToLower(host)
	f, ok := m.facts.get(host)
	if !ok && m.store != nil {
		err := m.store.View(ctx, func(tx Tx) (err error) {
			f.scheme, f.at, err = tx.HostSchemeGet(host)
			return err
		})
		if err != nil {
			return SchemeCavage, false // a hint that cannot be read is no hint
		}
		m.facts.put(host, f)
	}
	age := m.now().Sub(f.at)
	switch {
	case f.scheme == "" && age < unknownFor:
		return SchemeCavage, true
	case f.scheme == "" || age >= knownFor:
		return SchemeCavage, false
	default:
		// Known, yet a host that changes its mind (an upgrade, a rollback) is followed by the second knock.
		return f.scheme, false
	}
}

func (m *hostMemory) Remember(ctx context.Context, host string, s Scheme) {
	host = strings.ToLower(host)
	old, ok := m.facts.get(host)
	if ok && old.scheme == s && m.now().Sub(old.at) < unknownFor {
		return
	}
	f := hostFact{s, m.now()}
	m.facts.put(host, f)
	if m.store == nil || ok && old.scheme == s && m.now().Sub(old.at) < 24*time.Hour {
		return
	}
	// Losing this row costs one refused request.
	_ = m.store.Update(ctx, func(tx Tx) error { return tx.HostSchemePut(host, s, f.at) })
}
