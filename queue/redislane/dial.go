package redislane

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"footbridge/queue"
)

// oldest is the oldest major version that has all commands.
const oldest = 7

// Dial makes a client from redis://[user:password@]host:port[/db] or rediss://..., or for a cluster from
// redis+cluster://[user:password@]host:port,host:port,... (rediss+cluster with TLS). It does not connect yet.
func Dial(address string) (redis.UniversalClient, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if ok && strings.HasSuffix(scheme, "+cluster") {
		return dialCluster(strings.TrimSuffix(scheme, "+cluster"), rest)
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis URL: %w", hideURL(err))
	}
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout = 2 * time.Second
	return redis.NewClient(o), nil
}

func dialCluster(scheme, rest string) (redis.UniversalClient, error) {
	hosts := strings.Split(strings.TrimSuffix(rest, "/"), ",")
	address := scheme + "://" + hosts[0]
	for i, h := range hosts[1:] {
		address += map[bool]string{true: "?", false: "&"}[i == 0] + "addr=" + url.QueryEscape(h)
	}
	o, err := redis.ParseClusterURL(address)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis Cluster URL: %w", hideURL(err))
	}
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout = 2 * time.Second
	return redis.NewClusterClient(o), nil
}

// hideURL keeps a password in a URL out of messages.
func hideURL(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}

// check refuses a Redis that would lose work by its settings.
func check(ctx context.Context, client redis.UniversalClient) error {
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		return checkNode(ctx, client)
	}
	var mu sync.Mutex // the callback runs for all nodes at once
	var first error
	err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		err := checkNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
		return nil
	})
	if first != nil {
		return first
	}
	return err
}

func checkNode(ctx context.Context, client redis.Cmdable) error {
	info, err := client.Info(ctx).Result()
	if err != nil {
		return fmt.Errorf("asking Redis about itself: %w", err)
	}
	if v := field(info, "redis_version"); v != "" {
		major, _, _ := strings.Cut(v, ".")
		if n, err := strconv.Atoi(major); err != nil || n < oldest {
			return fmt.Errorf("%w: Redis is version %s, but Footbridge needs 7.0 or later: upgrade it, or leave redis_url empty", queue.ErrUnfit, v)
		}
	}
	if policy := field(info, "maxmemory_policy"); policy != "" && policy != "noeviction" {
		return fmt.Errorf("%w: Redis has maxmemory-policy %s and may evict queued work: set maxmemory-policy noeviction in its configuration", queue.ErrUnfit, policy)
	}
	return nil
}

// field finds a line of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return v
		}
	}
	return ""
}
