package redislane

import (
	"embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed script/*.lua
var sources embed.FS

// scripts are the Lua scripts, each with the shared part before it. They use commands of Redis 7.0 only, and touch keys
// of one hash tag only.
type scripts struct {
	init, enqueue, claim, settle, promote, reclaim, keep, sweep, who, drop *redis.Script
}

func loadScripts() (*scripts, error) {
	lib, err := sources.ReadFile("script/lib.lua")
	if err != nil {
		return nil, fmt.Errorf("reading the shared script: %w", err)
	}
	s := &scripts{}
	for name, into := range map[string]**redis.Script{
		"init": &s.init, "enqueue": &s.enqueue, "claim": &s.claim, "settle": &s.settle,
		"promote": &s.promote, "reclaim": &s.reclaim, "keep": &s.keep, "sweep": &s.sweep, "who": &s.who, "drop": &s.drop,
	} {
		body, err := sources.ReadFile("script/" + name + ".lua")
		if err != nil {
			return nil, fmt.Errorf("reading script %s: %w", name, err)
		}
		*into = redis.NewScript(string(lib) + string(body))
	}
	return s, nil
}
