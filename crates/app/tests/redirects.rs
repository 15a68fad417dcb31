//! Rows URL: where the program lets itself be led.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use harness::Scene;

#[test]
fn url_01_another_scheme_is_not_followed() {
    for liar in ["url_01_a", "url_01_b", "url_01_c", "url_01_d", "url_01_e"] {
        let scene = Scene::new();
        scene.liar(liar);
        scene.run(&[]).refused(23).says("redirected to where thence does not follow");
    }
}

#[test]
fn url_05_chains_and_circles_end() {
    for liar in ["url_05_a", "url_05_b", "url_05_c"] {
        let scene = Scene::new();
        scene.liar(liar);
        scene.run(&[]).refused(23).says("too many redirects, or a circle");
        assert!(scene.requests().len() <= 21, "{} requests", scene.requests().len());
    }
}

#[test]
fn url_05_twenty_redirects_are_followed() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| match request.target.trim_start_matches("/hop/").parse::<u32>() {
        Ok(20) => file.now().answer(request).send(request, out),
        Ok(hop) => {
            out.answer(302, &format!("Location: /hop/{}", hop + 1), "");
        }
        Err(_) => {
            out.answer(302, "Location: /hop/1", "");
        }
    });
    scene.run(&["-x1"]).whole();
}

#[test]
fn url_06_what_a_url_must_not_hold_is_encoded_or_refused() {
    let scene = Scene::new();
    scene.run_bare(&[&scene.origin.url("/file.bin?a b\u{e4}")]).whole();
    assert_eq!(scene.requests()[0].target, "/file.bin?a%20b%C3%A4");
    for bad in ["/file.bin\r\nX-Evil: 1", "/file.bin\nX-Evil: 1"] {
        let scene = Scene::new();
        scene.run_bare(&[&scene.origin.url(bad)]).refused(28);
        assert_eq!(scene.requests(), []);
    }
}

#[test]
fn url_06_a_location_writes_no_fields() {
    for location in ["/next\tX-Evil: 1", "/next\u{0}", "/ne xt\u{e4}", "/next\rX-Evil: 1"] {
        let scene = Scene::new();
        let file = scene.file.clone();
        scene.serve(move |request, out| match request.target.as_str() {
            "/file.bin" => drop(
                out.raw(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")),
            ),
            _ => file.now().answer(request).send(request, out),
        });
        let outcome = scene.run(&["-x1"]);
        assert!([0, 22, 23].contains(&outcome.code.unwrap()), "{location:?}: {}", outcome.stderr);
        for request in scene.requests() {
            assert!(request.header("x-evil").is_none() && !request.target.contains([' ', '\t', '\0']));
        }
    }
}

#[test]
fn url_09_a_redirects_endless_body_is_left() {
    let scene = Scene::new();
    scene.liar("url_09");
    scene.run(&["-x1"]).whole();
    assert!(scene.origin.sent() < 64 << 20, "{} bytes", scene.origin.sent());
}
