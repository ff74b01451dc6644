"""The grammar of what is served: every form, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.sources import AliasOf, Directory, ModelSource, Prefix, VersionOf, parse_source, parse_sources


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("digits", AliasOf("digits")),
        ("digits of mine", AliasOf("digits of mine")),
        ("digits@challenger", AliasOf("digits", "challenger")),
        ("a@b@champion", AliasOf("a@b", "champion")),
        ("digits/3", VersionOf("digits", "3")),
        ("models:/digits/12", VersionOf("digits", "12")),
        ("models:/digits@champion", AliasOf("digits", "champion")),
        ("models:/a=b@champion", AliasOf("a=b", "champion")),
        ("models:/a=b/1", VersionOf("a=b", "1")),
        ("digits=runs/latest/bundle", Directory("digits", Path("runs/latest/bundle"))),
        ("digits=/srv/a=b", Directory("digits", Path("/srv/a=b"))),
        ("digits=.", Directory("digits", Path())),
        ("digits=s3://bucket", Prefix("digits", "bucket", "")),
        ("digits=s3://my.bucket-1/a/b c/", Prefix("digits", "my.bucket-1", "a/b c")),
    ],
)
def test_every_form_is_read(text: str, source: ModelSource) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not empty"),
        (" digits", "spaces"),
        ("dig\nits", "spaces"),
        ("@champion", "not empty"),
        ("digits@", "no alias"),
        ("digits@a b", "no alias"),
        ("digits:3", "NAME/VERSION"),
        ("digits/0", "whole number"),
        ("digits/latest", "NAME@ALIAS"),
        ("digits/", "whole number"),
        ("/3", "not empty"),
        ("./runs/bundle", "NAME=DIR"),
        ("models:/digits", "models:/NAME/VERSION"),
        ("models:/digits/Production", "NAME@ALIAS"),
        ("models:/", "models:/NAME/VERSION"),
        ("s3://bucket/prefix", "NAME=s3://"),
        ("digits=", "directory comes after"),
        ("=runs/bundle", "not empty"),
        ("a/b=runs/bundle", "no '/'"),
        ("digits=gs://bucket/prefix", "nowhere else"),
        ("digits=http://host/prefix", "nowhere else"),
        ("digits=models:/digits/3", "nowhere else"),
        ("digits=s3://", "names no bucket"),
        ("digits=s3:///prefix", "names no bucket"),
        ("digits=s3://Bucket/prefix", "names no bucket"),
        ("digits=s3://host@evil/prefix", "names no bucket"),
        ("digits=s3://evil.example:80/prefix", "names no bucket"),
        ("digits=s3://a..b/prefix", "names no bucket"),
    ],
)
def test_what_follows_no_rule_says_which_one_it_nearly_follows(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_source(text)


def test_a_name_has_one_source() -> None:
    assert len(parse_sources(["a", "b@challenger", "c/3"])) == 3
    with pytest.raises(ValueError, match="twice"):
        parse_sources(["a@champion", "b", "a/3"])


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"\*\*\*@") as caught:
        parse_source("digits=s3://key:s3cret@bucket/prefix")
    assert "s3cret" not in str(caught.value)
