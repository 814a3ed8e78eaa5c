/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The macvtap port, on one end of a cable.
 */
#include "tap_rig.h"

/* A macvtap on one end of a cable; the host's side is the other end. */
static bool macvtap_init(struct rig *t, unsigned pairs)
{
	struct vio_port_tap_config cfg = {.name = "mv0", .pairs = (uint16_t)pairs};
	struct vio_port *port;
	char command[300];
	int r;

	memset(t, 0, sizeof(*t));
	t->sock = -1;
	if (!netns_try("ip link add v0 type veth peer name v1 2>/dev/null && "
		       "ip link set v0 up && ip link set v1 up")) {
		printf("left out: no veth interfaces ");
		return false;
	}
	/* The number is in the name of the device node, which namespaces share. */
	snprintf(command, sizeof(command),
		 "ip link add link v0 name mv0 index %d numtxqueues 4 numrxqueues 4 "
		 "address 02:00:00:00:00:77 type macvtap mode bridge 2>/dev/null && "
		 "ip link set mv0 up promisc on",
		 (int)getpid() + 100000);
	if (!netns_try(command)) {
		printf("left out: no macvtap interfaces ");
		netns_run("ip link del v0");
		return false;
	}
	r = vio_port_macvtap_open(&cfg, &port);
	if (r == -ENOENT || r == -EPERM || r == -EACCES) {
		printf("left out: no /dev/tapN (%s) ", strerror(-r));
		netns_run("ip link del v0");
		return false;
	}
	must(r, "vio_port_macvtap_open");
	/* A fresh cable takes a moment before it carries anything. */
	netns_run("for i in v0 v1 mv0; do for n in $(seq 100); do "
		  "ip link show $i | grep -q 'state UP' && break; sleep 0.05; done; done");
	rig_on_port(t, port, pairs);
	t->sock = netns_socket("v1", NETNS_ETHERTYPE, false);
	return true;
}

static void macvtap_fini(struct rig *t)
{
	rig_fini(t);
	netns_try("ip link del v0");
}

static void test_memory_of_the_room_is_gone(void)
{
	struct rig t;

	if (!macvtap_init(&t, 1))
		return;
	memory_gone(&t);
	macvtap_fini(&t);
}

static void test_macvtap(void)
{
	struct vio_port_info info;
	uint8_t data[2000];
	struct rig t;

	if (!macvtap_init(&t, 1))
		return;
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_TRUE(info.has_mac && info.link_up);
	CU_ASSERT_EQUAL(memcmp(info.mac, "\x02\0\0\0\0\x77", 6), 0);
	CU_ASSERT_EQUAL(info.mtu, 1500);
	CU_ASSERT_TRUE(info.offloads & BIT(CSUM));
	user_receive(t.u[0], 100);
	for (unsigned i = 1; i < VIO_ARRAY_LEN(lengths); i++) {
		host_sends(&t, lengths[i], i);
		CU_ASSERT_TRUE(user_wait(t.u[0], 1));
		CU_ASSERT_TRUE(t.u[0]->n == 1 && is_frame(&t.u[0]->got[0], lengths[i], i));
		user_drop(t.u[0]);
		fill(data, lengths[i], i + 100);
		CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[i]));
		CU_ASSERT_TRUE(host_gets(&t, lengths[i], i + 100));
	}
	CU_ASSERT_EQUAL(vio_port_set_offloads(t.port, info.offloads), 0);
	CU_ASSERT_EQUAL(vio_port_set_offloads(t.port, 0), 0);
	deleted(&t, "ip link del mv0");
	macvtap_fini(&t);
}

static void test_macvtap_queues(void)
{
	uint8_t data[100];
	struct rig t;

	if (!macvtap_init(&t, 4))
		return;
	for (unsigned i = 0; i < 4; i++) {
		user_receive(t.u[i], 100000);
		fill(data, 100, i);
		CU_ASSERT_TRUE(user_send(t.u[i], data, 100));
		CU_ASSERT_TRUE(host_gets(&t, 100, i));
	}
	deleted(&t, "ip link del mv0");
	macvtap_fini(&t);
}

static void test_macvtap_names(void)
{
	struct vio_port_tap_config cfg = {.name = "nosuch"};
	struct vio_port *port;

	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -ENODEV);
	cfg.name = NULL;
	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -EINVAL);
	cfg.name = "a-name-too-long-for-it";
	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"both ways", test_macvtap},
	{"multi-queue", test_macvtap_queues},
	{"memory of the room is gone", test_memory_of_the_room_is_gone},
	{"names", test_macvtap_names},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return rig_suite("macvtap", tests);
}
