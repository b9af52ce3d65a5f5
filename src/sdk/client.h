/* The insides of a dr_client, for client*.c. */
#ifndef SDK_CLIENT_H
#define SDK_CLIENT_H

#include "base/clock.h"
#include "sdk/client_transport.h"

#define CLIENT_KEY_HINT_SIZE 96
/* A submit and the like; the original clients' own limit. */
#define CLIENT_TIMEOUT_NS (5 * NS_PER_S)

/* Nothing changes after creation, so threads share it without a lock. */
struct dr_client {
    struct client_transport *transport; /* owned */
    char key_hint[CLIENT_KEY_HINT_SIZE];
};

/* One exchange. DR_OK is HTTP 200 with its body in *reply; else the error that the server sent, or the transport's. */
dr_code client_exchange(dr_client *client, const struct client_exchange *exchange, struct buf *reply,
                        struct dr_error *error);

/* What came back cannot be read: turns the decoder's error into the server's. Returns DR_INTERNAL. */
dr_code client_bad_answer(struct dr_error *error);

/* A dispatch id that can be sent: 1 to DR_ID_SIZE - 1 visible ASCII characters without quotes and backslash. */
bool client_is_id(struct slice id);
dr_code client_check_id(const char *id, struct dr_error *error);

/* The value of a JSON text. Returns owned. DR_INTERNAL when it is none. */
dr_code client_value_of_json(struct slice json, dr_value **ret_value, struct dr_error *error);

#endif
