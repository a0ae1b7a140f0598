package main

// The names that `cases.go` uses, as the fork of ScyllaDB has them.

import (
	"errors"

	"github.com/gocql/gocql"
)

type (
	Session        = gocql.Session
	Duration       = gocql.Duration
	UUID           = gocql.UUID
	RetryType      = gocql.RetryType
	RetryableQuery = gocql.RetryableQuery
	RequestError   = gocql.RequestError
)

const (
	LoggedBatch   = gocql.LoggedBatch
	UnloggedBatch = gocql.UnloggedBatch
	CounterBatch  = gocql.CounterBatch
	LocalQuorum   = gocql.LocalQuorum
	RetryNextHost = gocql.RetryNextHost
	Rethrow       = gocql.Rethrow
)

var (
	NewCluster           = gocql.NewCluster
	TokenAwareHostPolicy = gocql.TokenAwareHostPolicy
	RoundRobinHostPolicy = gocql.RoundRobinHostPolicy
	UnsetValue           = gocql.UnsetValue
	NamedValue           = gocql.NamedValue
	MustRandomUUID       = gocql.MustRandomUUID
	TimeUUID             = gocql.TimeUUID
)

// It has a connection to each shard.
const knowsShards = true

func holdsAllShards(session *Session) bool {
	full := 0
	session.IterateHostPools(func(pool gocql.HostPoolInfo) bool {
		if pool.GetShardCount() > 0 && pool.GetConnectionCount() == pool.GetShardCount() {
			full++
		}
		return true
	})
	return full == 3
}

// What it knows of a keyspace it reads once, but for tables that are asked for by name.
func tableMetadata(session *Session, keyspace, table string) *gocql.TableMetadata {
	metadata, err := session.TableMetadata(keyspace, table)
	if errors.Is(err, gocql.ErrNotFound) {
		return nil
	}
	must(err)
	return metadata
}
