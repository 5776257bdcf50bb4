// Package identity knows who is who: accounts, the map from actor id to DID to handle, sealed keys, and how PLC
// operations and zone answers are built. It sends nothing and opens nothing: package atproto dials, package store keeps.
package identity

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// ErrNotFound says that no such account is known.
var ErrNotFound = errors.New("account not found")

// Network is one of the two sides of the bridge.
type Network string

// The two networks.
const (
	ActivityPub Network = "ap"
	ATProto     Network = "at"
)

// ActorID is the id of an ActivityPub actor: an absolute URL without user info or fragment.
type ActorID string

// ParseActorID accepts https URLs, and http ones only because demo and tests run on loopback (the network guard is what
// refuses http in production).
func ParseActorID(s string) (ActorID, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > 2048 {
		return "", fmt.Errorf("not an actor id: %.80q", s)
	}
	return ActorID(s), nil
}

// Host is the lower-case host (with port, if any) that the actor lives on.
func (a ActorID) Host() string {
	u, err := url.Parse(string(a))
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// Subject is the one whose consent is asked: the native id, an actor id or a DID.
type Subject string

// CopyStatus is the state of what the bridge made on the other network.
type CopyStatus string

// A copy is absent until provisioned, hidden while paused, gone after erasure.
const (
	CopyNone         CopyStatus = ""
	CopyProvisioning CopyStatus = "provisioning"
	CopyActive       CopyStatus = "active"
	CopyHidden       CopyStatus = "hidden"
	CopyErasing      CopyStatus = "erasing"
	CopyGone         CopyStatus = "gone"
)

// Account is one person (or bot, or group): native on one network, with or without a copy on the other.
type Account struct {
	// Native is where the person really lives.
	Native Network
	// Actor is the native actor id, or, for an AT native, the id of the copy's actor on this bridge.
	Actor ActorID
	// DID is the native DID, or, for an AP native, the DID of the copy; empty until provisioned.
	DID syntax.DID
	// Handle is the AT handle that belongs to DID.
	Handle syntax.Handle
	// Acct is user@host as the fediverse sees Actor, without a leading @.
	Acct string
	// URL is the page for people of the native account.
	URL string
	// Inbox and SharedInbox are the native actor's (AP natives only).
	Inbox, SharedInbox string
	// Status is the state of the copy.
	Status CopyStatus
	// Incarnation starts at 1 and is raised only by a grant after an erasure; destination ids depend on it.
	Incarnation int64
	// Epoch is raised by every grant, pause, narrowing and withdrawal; a job of an older epoch is dropped.
	Epoch int64
	// Created and Updated are set by the store.
	Created, Updated time.Time
}

// Subject is the native id of the account.
func (a *Account) Subject() Subject {
	if a.Native == ATProto {
		return Subject(a.DID)
	}
	return Subject(a.Actor)
}
