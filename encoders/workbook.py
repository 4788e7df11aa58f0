"""The parts of an XLSX around the rows of its sheet: the package, styles, the sheet's name.

Pure: text in and out, no rows. Way in: PARTS, workbook, sheet_name.
Source: ECMA-376 part 1, 18.2 (workbook), 18.8 (styles).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SHEET = "xl/worksheets/sheet1.xml"
WORKBOOK = "xl/workbook.xml"

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# Styles, as numbered by the attribute `s` of a cell; without it a cell is PLAIN. DECIMAL + n shows
# n digits behind the point, for n up to MAX_PLACES.
PLAIN, HEADER, DATE, TIMESTAMP, FRACTION, DECIMAL = range(6)
MAX_PLACES = 15
_FORMATS = (
    "yyyy-mm-dd",
    "yyyy-mm-dd hh:mm:ss",
    "yyyy-mm-dd hh:mm:ss.000",
    "0",
    *("0." + "0" * places for places in range(1, MAX_PLACES + 1)),
)
_OWN_FORMATS = 164  # lower numbers are built in

# Excel's limit for a sheet's name, in UTF-16 units; the standard sets none.
_MAX_NAME = 31
_NOT_IN_NAMES = r"[\[\]:*?/\\\x00-\x1f\ud800-\udfff\ufffe\uffff]"


def _styles(formats: Sequence[str]) -> str:
    numbers = range(_OWN_FORMATS, _OWN_FORMATS + len(formats))
    own = "".join(
        f'<numFmt numFmtId="{number}" formatCode="{code}"/>'
        for number, code in zip(numbers, formats, strict=True)
    )
    cells = "".join(
        f'<xf numFmtId="{number}" fontId="0" fillId="0" borderId="0" xfId="0"'
        ' applyNumberFormat="1"/>'
        for number in numbers
    )
    return f"""<styleSheet xmlns="{MAIN}">\
<numFmts count="{len(formats)}">{own}</numFmts>\
<fonts count="2"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="{2 + len(formats)}">\
<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>{cells}</cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\
</styleSheet>"""


_CONTENT_TYPES = f"""<Types xmlns="{_PACKAGE}/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="xml" ContentType="application/xml"/>\
<Override PartName="/{WORKBOOK}" ContentType="{_TYPE}.sheet.main+xml"/>\
<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>\
<Override PartName="/{SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>"""

# The parts in front of the sheet, the same in every file.
PARTS = {
    "[Content_Types].xml": _CONTENT_TYPES,
    "_rels/.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="{WORKBOOK}"/>\
</Relationships>""",
    "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>\
<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>""",
    "xl/styles.xml": _styles(_FORMATS),
}


def workbook(name: str, last_column: str, last_row: int) -> str:
    """Return the part that names the sheet; it follows the sheet, since it has its size.

    name: of sheet_name. Excel also keeps the range of a filter under a hidden name.
    """
    quoted = escape(name.replace("'", "''"))
    attribute = escape(name, {'"': "&quot;"})
    return f"""<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>\
<sheets><sheet name="{attribute}" sheetId="1" r:id="rId1"/></sheets><definedNames>\
<definedName name="_xlnm._FilterDatabase" localSheetId="0" hidden="1">\
'{quoted}'!$A$1:${last_column}${last_row}</definedName></definedNames></workbook>"""


def sheet_name(title: str) -> str:
    """Return the sheet name that is closest to title and that Excel allows."""
    allowed = re.sub(_NOT_IN_NAMES, "_", title)
    units = allowed.encode("utf-16-le")[: 2 * _MAX_NAME]
    name = units.decode("utf-16-le", "ignore").strip("'")
    # Excel reserves this name.
    return f"{name}_" if name.lower() == "history" else name or "Sheet1"


def letters_of(column: int) -> str:
    """Return a column's name in A1 notation: 0 is A, 26 is AA."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
