// Callbacks: what they are given, what becomes of their exceptions, when they are gone.
#include "support.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;

namespace {

struct first_failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct second_failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// Not derived from std::exception, as C++ allows.
struct bare_failure {
    int code;
};

/// Tells when the callable that holds it is destroyed, and how often.
struct farewell {
    explicit farewell(gate &gone, std::atomic<int> &count) : gone_(gone), count_(count) {}
    farewell(const farewell &) = delete;
    farewell &operator=(const farewell &) = delete;
    ~farewell()
    {
        ++count_;
        gone_.open();
    }

private:
    gate &gone_;
    std::atomic<int> &count_;
};

std::atomic<int> strays{0};
gate *stray_seen = nullptr;

void on_stray(std::exception_ptr thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const first_failure &) {
        ++strays;
        if (stray_seen)
            stray_seen->open();
    } catch (...) {
    }
}

struct with_stray_handler {
    explicit with_stray_handler(gate &seen)
    {
        strays = 0;
        stray_seen = &seen;
        before = jeton::set_stray_exception_handler(on_stray);
    }
    ~with_stray_handler()
    {
        jeton::set_stray_exception_handler(before);
        stray_seen = nullptr;
    }
    with_stray_handler(const with_stray_handler &) = delete;
    with_stray_handler &operator=(const with_stray_handler &) = delete;
    void (*before)(std::exception_ptr) = nullptr;
};

} // namespace

TEST_CASE("an exception in open_url is thrown again by the login")
{
    const test_server server;
    jeton::config config;
    config.issuer(server["issuer"]).client_id(server["public_client"]).no_proxy();
    config.grant(jeton::grant::authorization_code);
    config.on_open_url([](std::string_view) { throw first_failure("no browser here"); });
    const jeton::client client = config.build().value();
    const auto failed = client.session().value().log_in();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().status() == jeton::status::callback);
    CHECK(failed.error().callback_result() != 0);
    CHECK(failed.error().callback_exception());
    CHECK_THROWS_WITH_AS(static_cast<void>(failed.value()), "no browser here", first_failure);
    // Again, and from a copy of the error.
    CHECK_THROWS_AS(static_cast<void>(failed.value()), first_failure);
    const jeton::error copy = failed.error();
    CHECK_THROWS_AS(copy.raise(), first_failure);
}

TEST_CASE("an exception in the device prompt is thrown again by the login")
{
    const test_server server(with_a_person);
    jeton::config config = server.device();
    config.on_device_code([](const jeton::device_prompt &) { throw bare_failure{42}; });
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    try {
        static_cast<void>(session.log_in().or_throw());
        FAIL("nothing was thrown");
    } catch (const bare_failure &thrown) {
        CHECK(thrown.code == 42);
    }
}

TEST_CASE("an exception while a device code is pending is thrown again by the login")
{
    const test_server server(with_a_person);
    jeton::config config = server.device();
    gate ended;
    config.on_device_code([](const jeton::device_prompt &) {});
    config.on_pending([](jeton::milliseconds remaining) {
        CHECK(remaining > 0ms);
        throw second_failure("enough of waiting");
    });
    config.on_login_ended([&](jeton::status status, std::string_view message) {
        CHECK(status != jeton::status::ok);
        CHECK_FALSE(message.empty());
        ended.open();
    });
    const jeton::client client = config.build().value();
    CHECK_THROWS_WITH_AS(
        static_cast<void>(client.session().value().log_in().value()), "enough of waiting", second_failure);
    ended.pass();
}

TEST_CASE("a callback may fail with a code instead")
{
    const test_server server(with_a_person);
    jeton::config config = server.device();
    config.on_device_code([](const jeton::device_prompt &) { return 77; });
    const jeton::client client = config.build().value();
    const auto failed = client.session().value().log_in();
    CHECK(failed.error().status() == jeton::status::callback);
    CHECK(failed.error().callback_result() == 77);
    CHECK_FALSE(failed.error().callback_exception());
    CHECK_THROWS_AS(static_cast<void>(failed.value()), jeton::exception);
}

TEST_CASE("logins at the same time do not mix up their exceptions")
{
    constexpr std::size_t logins = 12;
    const test_server server(with_a_person);
    // All are in their callbacks before any throws.
    std::atomic<std::size_t> waited_for = logins;
    gate all_in;
    std::array<int, logins> caught = {};
    std::vector<std::thread> threads;
    for (std::size_t number = 0; number < logins; ++number) {
        threads.emplace_back([&, number] {
            jeton::config config = server.device();
            config.on_device_code([&, number](const jeton::device_prompt &) {
                if (--waited_for == 0)
                    all_in.open();
                all_in.pass();
                throw bare_failure{static_cast<int>(number) + 1};
            });
            const jeton::client client = config.build().value();
            try {
                static_cast<void>(client.session().value().log_in().value());
            } catch (const bare_failure &thrown) {
                caught[number] = thrown.code;
            } catch (...) {
                caught[number] = -1;
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    for (std::size_t number = 0; number < logins; ++number)
        CHECK(caught[number] == static_cast<int>(number) + 1);
}

TEST_CASE("whoever waits for the same login gets its exception")
{
    const test_server server(with_a_person);
    jeton::config config = server.device();
    config.on_device_code([&](const jeton::device_prompt &) { throw first_failure("for both"); });
    const jeton::client client = config.build().value();
    std::array<std::exception_ptr, 4> thrown;
    std::vector<std::thread> threads;
    for (auto &mine : thrown)
        threads.emplace_back([&] { mine = client.session().value().log_in().error().callback_exception(); });
    for (std::thread &thread : threads)
        thread.join();
    for (const auto &mine : thrown) {
        REQUIRE(mine);
        CHECK_THROWS_AS(std::rethrow_exception(mine), first_failure);
    }
}

TEST_CASE("many exceptions that nobody asks for cost nothing for long")
{
    auto &kept = jeton::detail::kept_exceptions::all();
    const auto alive = std::make_shared<int>(1);
    struct holder {
        std::shared_ptr<int> held;
    };
    const std::int32_t oldest = kept.keep(std::make_exception_ptr(holder{alive}));
    CHECK(kept.find(oldest));
    CHECK(alive.use_count() > 1);
    for (int time = 0; time < 255; ++time)
        CHECK(kept.find(kept.keep(std::make_exception_ptr(time))));
    CHECK(kept.find(oldest));
    CHECK(kept.keep(std::make_exception_ptr(0)) != oldest);
    CHECK_FALSE(kept.find(oldest));
    CHECK(alive.use_count() == 1);
    // The program's own codes are none of it.
    for (const std::int32_t code : {1, -1, 77, -1073741823, 2147483647})
        CHECK_FALSE(kept.find(code));
}

TEST_CASE("a callback that can only be moved, and one that calls jeton")
{
    test_server server(with_a_person);
    const jeton::client service = server.service().build().value();
    jeton::config config = server.device();
    std::atomic<bool> got = false;
    config.on_device_code([&, session = std::make_unique<jeton::session>(service.session().value())](
                              const jeton::device_prompt &prompt) {
        got = session->token().has_value();
        server.command("approve " + std::string(prompt.user_code));
    });
    const jeton::client client = config.build().value();
    CHECK(client.session().value().log_in());
    CHECK(got);
}

TEST_CASE("callbacks are destroyed once, when nothing needs them any more")
{
    const test_server server;
    gate gone;
    std::atomic<int> count = 0;
    std::optional<jeton::session> session;
    {
        jeton::config config = server.device();
        config.on_device_code([keeper = std::make_unique<farewell>(gone, count)](const jeton::device_prompt &) {});
        // Each of these sets the table of callbacks anew.
        config.on_pending([](jeton::milliseconds) {}).on_login_ended([](jeton::status, std::string_view) {});
        const jeton::client client = config.build().value();
        session = client.session().value();
    }
    CHECK(count == 0);
    CHECK(session->log_in());
    session.reset();
    gone.pass();
    CHECK(count == 1);
}

TEST_CASE("callbacks that are refused are destroyed too")
{
    gate gone;
    std::atomic<int> count = 0;
    {
        jeton::config config;
        config.client_id(nullptr);
        REQUIRE(config.error());
        config.on_open_url([keeper = std::make_unique<farewell>(gone, count)](std::string_view) {});
        jeton::config moved = std::move(config);
        config.on_event([keeper = std::make_unique<farewell>(gone, count)](const jeton::event &) {}); // NOLINT
    }
    CHECK(count == 2);
}

TEST_CASE("an exception at the end of a login goes to the handler for strays")
{
    const test_server server;
    gate seen;
    const with_stray_handler handler(seen);
    jeton::config config = server.device();
    config.on_device_code([](const jeton::device_prompt &) {});
    config.on_login_ended([](jeton::status, std::string_view) { throw first_failure("too late to matter"); });
    const jeton::client client = config.build().value();
    CHECK(client.session().value().log_in());
    seen.pass();
    CHECK(strays == 1);
}

TEST_CASE("events")
{
    test_server server;
    jeton::config config = server.password();
    gate logged_in;
    gate refreshed;
    gate logged_out;
    gate second_listener;
    config.on_event([&](const jeton::event &event) {
        CHECK(event.account == "dora");
        CHECK(event.message.empty());
        if (event.kind == jeton::event_kind::logged_in)
            logged_in.open();
        if (event.kind == jeton::event_kind::refreshed)
            refreshed.open();
        if (event.kind == jeton::event_kind::logged_out)
            logged_out.open();
    });
    config.on_event([&](const jeton::event &) { second_listener.open(); });
    const jeton::client client = config.build().value();
    const jeton::session session = client.session("dora").value();
    REQUIRE(session.log_in());
    logged_in.pass();
    second_listener.pass();
    REQUIRE(session.refresh());
    refreshed.pass();
    REQUIRE(session.log_out());
    logged_out.pass();
}

TEST_CASE("an exception in a listener for events goes to the handler for strays")
{
    const test_server server;
    gate seen;
    const with_stray_handler handler(seen);
    gate gone;
    std::atomic<int> count = 0;
    {
        jeton::config config = server.password();
        config.on_event([keeper = std::make_unique<farewell>(gone, count)](const jeton::event &) {
            throw first_failure("no interest");
        });
        const jeton::client client = config.build().value();
        CHECK(client.session().value().log_in());
        seen.pass();
    }
    gone.pass();
    CHECK(count == 1);
    CHECK(strays >= 1);
}

TEST_CASE("the log, and its exceptions")
{
    const test_server server;
    gate seen;
    const with_stray_handler handler(seen);
    gate logged;
    gate gone;
    std::atomic<int> count = 0;
    REQUIRE(jeton::set_log(jeton::log_level::trace,
        [&, keeper = std::make_unique<farewell>(gone, count)](
            jeton::log_level level, std::string_view target, std::string_view message) {
            CHECK(level >= jeton::log_level::error);
            CHECK(level <= jeton::log_level::trace);
            CHECK_FALSE(target.empty());
            CHECK(message.find(server["service_secret"]) == std::string_view::npos);
            logged.open();
            throw first_failure("log full");
        }));
    const jeton::client client = server.service().build().value();
    CHECK(client.session().value().token());
    logged.pass();
    seen.pass();
    REQUIRE(jeton::clear_log());
    gone.pass();
    CHECK(count == 1);
    CHECK(jeton::set_log(static_cast<jeton::log_level>(99), [](jeton::log_level, std::string_view, std::string_view) {
    }).error().status()
        == jeton::status::invalid_argument);
}
