/* What a strange endpoint answers, to a client that posts: each post must end, with a response inside its limits or a
 * reason in one line. Shared by the targets of the two clients. Client and listener stay between the inputs. */
#ifndef FUZZ_HTTP_REPLY_H
#define FUZZ_HTTP_REPLY_H

#include "base/slice.h"
#include "http/http_client.h"

/* The client under test, of which there is one in the process. */
struct http_reply_client {
    void (*create)(const struct http_client_config *config);
    void (*post)(const struct http_post *post); /* must be accepted */
    void (*destroy)(void);
};

/* Posts, and answers every connection that the client makes for it with these bytes. */
void http_reply_feed(const struct http_reply_client *client, struct slice reply);

#endif
