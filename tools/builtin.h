/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BUILTIN_H
#define TOOLS_BUILTIN_H

/*
 * The leaves of this build and how a configuration reaches them. builtin.c names them all; a new
 * device model, transport, back-end, storage engine or network port is one more entry there, and
 * its description (options, operations) goes into the leaf_<kind>.c beside it.
 *
 * A device section is put together from leaves: the section's type names the device model, and the
 * keys `transport`, `backend`, `engine` and `port` name the others. The options of all chosen
 * leaves are the keys of the section, so no two leaves that can meet in one section may share an
 * option's name; leaves of the same kind may (the same `size` in several engines).
 */

#include <viodm/config.h>
#include <viodm/engines.h>
#include <viodm/iothread.h>
#include <viodm/port.h>

enum leaf_kind {
	LEAF_MODEL,
	LEAF_TRANSPORT,
	LEAF_BACKEND,
	LEAF_ENGINE,
	LEAF_PORT,
	LEAF_KINDS,
};

#define LEAF_BIT(kind) (1u << (kind))

/* More leaves of one kind than there will ever be. */
#define LEAF_MAX 32

struct leaf;

/* A chosen leaf and its options as the file sets them. */
struct part {
	const struct leaf *leaf; /* NULL: the section has no leaf of this kind */
	void *opts;
};

/* What is wrong with values that are fine one by one. */
struct fault {
	const char *key; /* NULL: the section as a whole */
	char text[VIO_OPT_ERROR_LEN];
};

/* What a model wants of the port under it. */
struct port_want {
	unsigned pairs;	     /* queue pairs */
	unsigned mtu;	     /* 0: as the port likes */
	const char *capture; /* file to record all frames to; NULL: none */
	unsigned snaplen;    /* bytes of each to record; 0: all */
};

/* What stands under a device; NULL: the model has none of this kind. */
struct under {
	struct vio_storage *storage;
	struct vio_port *port;
};

/* Each gets the section's parts, indexed by enum leaf_kind. */
struct model_ops {
	/* Do the values fit together? 0 or -EINVAL with *fault. Optional. */
	int (*check)(const struct part *parts, struct fault *fault);
	/* Prints, in comment lines, what values such as "auto" come to. Optional. */
	void (*show)(const struct part *parts, FILE *out);
	/* How the engine shall open its file; required with LEAF_ENGINE among the needs. */
	void (*access)(const struct part *parts, struct vio_storage_file_config *access);
	/* What the port shall do; required with LEAF_PORT among the needs. */
	void (*port)(const struct part *parts, struct port_want *want);
	/* 0 or -errno. Required. */
	int (*create)(const struct part *parts, const struct vio_device_env *env,
		      const struct under *under, struct vio_device **out);
	/* 1 when the driver sees something new, 0, or -errno. Optional. */
	int (*refresh)(struct vio_device *dev);
};

struct transport_ops {
	enum vio_config_transport id;
	/*
	 * Fills in the transport's part; strings may point into opts. 0 or -EINVAL with *fault.
	 * Required.
	 */
	int (*describe)(const void *opts, struct vio_config_device *device, struct fault *fault);
	/* Of VIO_OPT_IN_FEATURES, those to offer. Optional: none. */
	uint64_t (*opt_in)(const void *opts);
};

/* What a back-end is made of. */
struct backend_env {
	struct vio_loop *loop;		 /* the embedder's */
	struct vio_iothread **iothreads; /* those that the section names, in that order */
	size_t n_iothreads;
};

struct backend_ops {
	/* 0 or -errno. Required. */
	int (*create)(const void *opts, const struct backend_env *env, struct vio_backend **out);
	/* Of VIO_OPT_IN_FEATURES, those to offer. Required. */
	uint64_t (*opt_in)(const void *opts);
};

struct engine_ops {
	/*
	 * Would open() work? Creates and changes nothing. 0 and the storage's bytes, or -errno with
	 * *fault. Required.
	 */
	int (*check)(const void *opts, const struct vio_storage_file_config *access, uint64_t *size,
		     struct fault *fault);
	/* 0 or -errno. Required. */
	int (*open)(const void *opts, const struct vio_storage_file_config *access,
		    const struct vio_log *log, struct vio_storage **out);
	bool direct; /* access.direct makes sense */
};

struct port_ops {
	unsigned max_pairs; /* queue pairs */
	/* Do the values fit together? Opens nothing. 0 or -EINVAL with *fault. Optional. */
	int (*check)(const void *opts, const struct port_want *want, struct fault *fault);
	/* 0 or -errno; *hint is "" or what to say behind the error. Required. */
	int (*open)(const void *opts, const struct port_want *want, const struct vio_log *log,
		    struct vio_port **out, const char **hint);
};

/* Sections that are no devices: IO threads. */
struct iothread_ops {
	/* 0 or -EINVAL with *fault. Required. */
	int (*check)(const void *opts, struct fault *fault);
	/* 0 or -errno; *hint is "" or what to say behind the error. Required. */
	int (*create)(const void *opts, const char *name, struct vio_iothread **out,
		      const char **hint);
};

struct leaf {
	const char *name;
	const char *help;
	const struct vio_opt *opts;
	size_t n_opts;
	size_t opts_size; /* bytes of the object behind opts */
	unsigned needs;	  /* models: LEAF_BIT() of the kinds that the section chooses */
	union {
		struct model_ops model;
		struct transport_ops transport;
		struct backend_ops backend;
		struct engine_ops engine;
		struct port_ops port;
		struct iothread_ops iothread;
	};
};

/* All leaves of one kind. */
struct leaf_set {
	struct vio_opt key; /* the key that chooses one; the choices are filled in when used */
	const struct leaf *const *leaves;
	size_t n;
};

/* Indexed by enum leaf_kind; LEAF_MODEL has no key. */
extern const struct leaf_set builtin_leaves[LEAF_KINDS];

/* The section [iothread NAME]. */
extern const struct leaf builtin_iothread;

/*
 * The key that chooses a leaf of `kind`, as an option whose value is the leaf's number. `names` has
 * room for LEAF_MAX + 1 and must live as long as the option.
 */
struct vio_opt builtin_key(enum leaf_kind kind, const char **names);

#endif
