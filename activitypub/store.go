package activitypub

import (
	"context"
	"encoding/json"
	"time"

	"footbridge/identity"
)

// RemoteActor is what is remembered of an actor of another server.
type RemoteActor struct {
	ID                 identity.ActorID
	Raw                json.RawMessage
	Inbox, SharedInbox string
	Fetched            time.Time
}

// Follower follows a local actor.
type Follower struct {
	Actor              identity.ActorID
	Inbox, SharedInbox string
	// Follow is the id of the Follow, to recognise its Undo.
	Follow string
	Since  time.Time
}

// DeliveryTarget is one inbox to post to; Shared says that it serves a whole host.
type DeliveryTarget struct {
	Inbox  string
	Shared bool
}

// Tx is what the store's transaction offers this room.
type Tx interface {
	// FollowerPut inserts or replaces; FollowerDelete reports whether there was one.
	FollowerPut(owner identity.ActorID, f Follower) error
	FollowerDelete(owner, follower identity.ActorID) (bool, error)
	FollowerGet(owner, follower identity.ActorID) (*Follower, error)
	// Followers lists in order of actor id after the one given, at most limit.
	Followers(owner identity.ActorID, after identity.ActorID, limit int) ([]Follower, error)
	FollowerCount(owner identity.ActorID) (int, error)
	// FollowerInboxes are where to post for all followers, each once: the shared inbox where there is one.
	FollowerInboxes(owner identity.ActorID) ([]DeliveryTarget, error)
	// FollowersAt are the ids of the followers whose id begins with the origin given (FEP-8fcf).
	FollowersAt(owner identity.ActorID, origin string) ([]identity.ActorID, error)
	// FollowersOf lists the local actors that a remote one follows.
	FollowersOf(follower identity.ActorID) ([]identity.ActorID, error)

	// DeliveredHostAdd remembers an inbox that something of owner was posted to, for erasure.
	DeliveredHostAdd(owner identity.ActorID, inbox string) error
	DeliveredInboxes(owner identity.ActorID) ([]string, error)
	DeliveredForget(owner identity.ActorID) error

	// RemoteActorPut caches an actor document; RemoteActorGet gives nil if there is none.
	RemoteActorPut(a RemoteActor) error
	RemoteActorGet(id identity.ActorID) (*RemoteActor, error)
	RemoteActorDelete(id identity.ActorID) error
	// RemoteActorPrune forgets what was fetched before t, at most limit rows.
	RemoteActorPrune(before time.Time, limit int) (int64, error)

	// HostSchemePut and HostSchemeGet remember how a host wants requests signed; "" is unknown.
	HostSchemePut(host string, s Scheme, at time.Time) error
	HostSchemeGet(host string) (Scheme, time.Time, error)
}

// Store runs transactions; store.Room[Tx] is one.
type Store interface {
	Update(context.Context, func(Tx) error) error
	View(context.Context, func(Tx) error) error
}
